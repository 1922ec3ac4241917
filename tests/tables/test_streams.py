"""The stream: weights, drift, windows, and what a policy keeps when the columns that matter change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strangers_for_tests import altered
from tables_for_tests import mixed, stream, table

import emoprune
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.standalone.stream import (
    Reselector,
    drifted,
    information,
    load_reselector,
    standardised,
    tightness,
    top,
)
from emoprune.problems.tables.streams.genes import PolicyGenes
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.problems.tables.streams.windows import Policy, Steps, Windows
from emoprune.records import Split


def windows_of(rows: int = 2400, window: int = 200) -> tuple[Windows, Steps]:
    data = table(stream(rows))
    steps = Steps.of(data, window, 0.2, 0.2)
    return Windows(data, steps, np.column_stack([values.as_input() for values in data.values])), steps


@pytest.mark.parametrize("seed", range(5))
def test_columns_in_clusters_weigh_more_than_noise(seed: int) -> None:
    columns, _ = stream(600, seed)
    window = np.column_stack(list(columns.values()))[:300]
    weights = tightness(window, 5)
    assert weights.sum() == pytest.approx(1.0)
    assert len(set(top(weights, 5)) & set(range(5))) >= 4


def test_weights_do_not_depend_on_the_scale_of_a_column_and_constant_columns_weigh_nothing() -> None:
    columns, _ = stream(600)
    window = np.column_stack(list(columns.values()))[:300]
    np.testing.assert_allclose(tightness(window * np.logspace(-3, 3, 20), 4), tightness(window, 4), rtol=1e-6)
    window[:, 3] = 7.0
    assert tightness(window, 4)[3] == 0.0
    assert np.isfinite(tightness(np.ones((20, 3)), 4)).all()


@given(st.integers(0, 10_000))
def test_standardised_columns_have_mean_zero_and_deviation_one_with_gaps_at_the_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = rng.normal(3, 5, (40, 4))
    window[rng.random((40, 4)) < 0.2] = np.nan
    scaled = standardised(window)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert (scaled[np.isnan(window)] == 0).all()


def test_information_finds_the_column_that_tells_the_class() -> None:
    rng = np.random.default_rng(0)
    window = rng.normal(size=(300, 4))
    found = information(window, (window[:, 2] > 0).astype(float), classes=True)
    assert top(found, 1).tolist() == [2]
    assert information(window, window[:, 1], classes=False).argmax() == 1


@settings(deadline=None)
@given(st.sets(st.integers(0, 9), min_size=1), st.sets(st.integers(0, 9), min_size=1), st.floats(0, 1))
def test_drift_is_jaccard_s_measure_below_the_threshold(one: set[int], other: set[int], threshold: float) -> None:
    overlap = len(one & other) / len(one | other)
    assert drifted(np.array(sorted(one)), np.array(sorted(other)), threshold) == (overlap < threshold)


def test_a_policy_notices_within_two_windows_that_other_columns_matter() -> None:
    windows, steps = windows_of()
    kept = windows.kept(Policy(5, 5, 0.7, 0.0), len(steps.windows))
    assert all(set(each) == set(range(5)) for each in kept[:6])
    assert all(set(each) == set(range(10, 15)) for each in kept[7:])


def test_a_threshold_of_nothing_never_changes_the_first_choice_and_one_above_everything_always_may() -> None:
    windows, steps = windows_of()
    never = windows.kept(Policy(5, 5, 0.0, 0.0), len(steps.windows))
    assert all(np.array_equal(each, never[0]) for each in never)
    always = windows.kept(Policy(5, 5, 1.01, 0.0), len(steps.windows))
    assert set(always[-1]) == set(range(10, 15))


def test_what_is_scored_comes_after_what_is_learnt_and_parts_share_no_window() -> None:
    _, steps = windows_of()
    scored = [number for split in Split for number in steps.of_split[split]]
    assert scored == list(range(1, 12))
    for number in scored:
        block = steps.block(number)
        assert block.train.max() < block.scored.min()


def test_reselecting_beats_a_choice_made_once_where_the_stream_drifts(tmp_path: Path) -> None:
    problem = TabularStream(data="tables_for_tests:stream", window=200, costs=["columns"])
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    by_name = {reference.name: reference.genome for reference in problem.references()}
    genomes = np.stack([by_name["once-5"], by_name["drift-5"]])
    once, drift = problem.evaluate(genomes, np.zeros(2, dtype=np.uint64), Split.TEST)
    assert drift[0] < once[0] - 0.2  # type: ignore[index]


def names_of(folder: Path, **options: Any) -> list[str]:
    problem = TabularStream(**{"data": "tables_for_tests:stream", "window": 200, **options})
    problem.prepare(folder, 1)
    return [reference.name for reference in problem.references()]


def test_references_keep_half_and_a_quarter_of_the_columns_each_way_in_turn(tmp_path: Path) -> None:
    ways = ("once", "drift", "always", "information")
    assert names_of(tmp_path) == ["unpruned", *(f"{way}-{kept}" for kept in (10, 5) for way in ways)]
    given = ["always", {"name": "once", "percentages": [75]}]
    assert names_of(tmp_path, references=given) == ["unpruned", "always-10", "once-15", "always-5"]
    assert names_of(tmp_path, references=[]) == ["unpruned"]


def test_references_of_a_user_s_own_clusters_and_threshold_are_those_policies(tmp_path: Path) -> None:
    given = [{"name": "drift", "percentages": [30], "clusters": 3, "threshold": 0.9}]
    problem = TabularStream(data="tables_for_tests:stream", window=200, references=given)
    problem.prepare(tmp_path, 1)
    genome = problem.references()[1].genome
    assert genome.tolist() == [5, 1, 4, 0]
    assert problem.describe(genome)["clusters"] == 3


def test_policies_that_do_the_same_are_one_reference(tmp_path: Path) -> None:
    narrow = {"ignore": ["c?", "c1[!0]"]}  # what is left is c10
    assert names_of(tmp_path, **narrow) == ["unpruned"]


def test_references_are_made_when_the_problem_is_prepared() -> None:
    with pytest.raises(ContractError, match=r"no references yet; call prepare\(folder, seed\) first"):
        TabularStream(data="tables_for_tests:stream", window=200).references()


@given(st.integers(1, 30), st.data())
def test_a_policy_is_the_one_that_its_genome_stands_for(columns: int, data: st.DataObject) -> None:
    genes = PolicyGenes(columns)
    genome = np.array([data.draw(st.integers(0, levels - 1)) for levels in genes.space.levels.tolist()])
    assert genes.encoded(genes.decoded(genome)).tolist() == genome.tolist()


def test_a_policy_that_no_genome_stands_for_is_refused() -> None:
    with pytest.raises(ContractError, match=r"expected 1 to 4 columns, 2 to 10 clusters, .*found Policy\(keep=5"):
        PolicyGenes(4).encoded(Policy(5, 2, 0.0, 0.0))


def test_a_stream_s_run_from_before_there_were_named_references_goes_on(tmp_path: Path) -> None:
    config = {
        "problem": {
            "name": "tabular-stream",
            "data": "iris",
            "window": 15,
            "learner": "logistic",
            "costs": ["columns"],
        },
        "search": {"population": 12, "generations": 2, "seed": 1},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="stream")
    for _ in search:
        search.stop()
    path = search.run.path / "config.resolved.json"
    plain = json.loads(path.read_text())
    assert plain["problem"].pop("references") == ["once", "drift", "always", "information"]
    altered(path, problem=plain["problem"])
    resumed = emoprune.resume(search.run.path)
    list(resumed)
    assert resumed.run.progress.state.value == "finished"
    assert {"unpruned", "once-2", "information-1"} <= set(resumed.run.pareto["name"])


def test_time_per_prediction_is_measured() -> None:
    problem = TabularStream(data="tables_for_tests:stream", window=200)
    assert [objective.name for objective in problem.objectives] == ["log_loss", "milliseconds"]
    problem.setup("cpu", 1)
    (row,) = problem.evaluate(np.array([[4, 3, 0, 0]]), np.zeros(1, dtype=np.uint64), Split.SELECT)
    assert 0 < row[1] < 1000  # type: ignore[index]


def test_a_policy_of_all_columns_has_one_canonical_form() -> None:
    problem = TabularStream(data="tables_for_tests:stream", window=200)
    everything = problem.space.full
    np.testing.assert_array_equal(problem.canonical(everything[np.newaxis]), [[19, 0, 0, 0]])
    assert problem.describe(np.array([19, 0, 0, 0])) == {"columns kept": 20}
    assert problem.describe(np.array([4, 3, 3, 0]))["chosen anew"] == "at an overlap below 0.7"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"window": 400}, "at least 8 windows, found 6 of 400 rows in 2400 rows"),
        ({"costs": ["macs"]}, "costs: .*'macs'"),
        ({"costs": ["columns", "columns"]}, "each once"),
        ({"ignore": ["c*"]}, "expected at least one column"),
        ({"references": [{"name": "once", "percentages": [0]}]}, "percentages: expected whole numbers from 1 to 99"),
        ({"references": [{"name": "always", "clusters": 11}]}, "clusters: expected 2 to 10, found 11"),
        ({"references": [{"name": "drift", "threshold": 0.6}]}, r"expected one of 0\.3, 0\.5, 0\.7, 0\.9, found 0\.6"),
        ({"references": [{"name": "information", "clusters": 3}]}, "clusters: unknown option of reference"),
        ({"references": ["rfe"]}, "'rfe' serves features, feature-subset, not tabular-stream"),
        ({"metric": "auc"}, "no metric is called 'auc'"),
    ],
)
def test_a_stream_that_cannot_be_searched_is_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        TabularStream(**{"data": "tables_for_tests:stream", "window": 200, **options})  # type: ignore[arg-type]


def test_categories_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = TabularStream(data="tables_for_tests:mixed", window=20)
    assert "city, colour" in problem.inspect().notes[-1]
    columns = {name: column for name, column in mixed()[0].items() if name in {"city", "colour"}}
    assert len(table_of(columns, mixed()[1], Wanted()).columns) == 2


def test_a_reselector_says_what_it_needs(tmp_path: Path) -> None:
    reselector = Reselector(["a", "b"], 1, 2, 0.5, 0.5, classes=True)
    with pytest.raises(ValueError, match=r"a window of 2 columns, found shape \(3, 3\)"):
        reselector.update(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="expected the window's target"):
        reselector.update(np.random.default_rng(0).normal(size=(30, 2)))
    (tmp_path / "stream.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected format 'emoprune.stream/1'"):
        load_reselector(tmp_path)
