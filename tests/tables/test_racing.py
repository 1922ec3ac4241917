"""Races against all columns: what stops says so, and no score is invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables_for_tests import mixed, table

import emoprune
from emoprune.contracts import Failure
from emoprune.problems.tables.formulas.formula import Formula, Term
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.scores.racing import Baseline, Race, spread_of
from emoprune.problems.tables.subsets.features import FeatureSearch, FeaturesOptions
from emoprune.problems.tables.table import Table, Task
from emoprune.problems.tables.task import TableTask
from emoprune.records import Split

BASELINE = Baseline({"columns": 3.0}, (0.2, 0.3, 0.1), (0.02, 0.02, 0.02))


def test_a_race_stops_what_costs_no_less_than_all_columns_and_is_clearly_worse() -> None:
    race = Race(BASELINE, {"columns": 1.0}, 2.0)
    assert race.lost([0.3], {"columns": 5.0})
    assert not race.lost([0.23], {"columns": 5.0})  # within the spread
    assert not race.lost([0.3], {"columns": 2.0})  # smaller
    assert race.lost([0.23, 0.34, 0.14], {"columns": 3.0})


def test_the_spread_of_a_score_shrinks_with_its_rows() -> None:
    metric, rng = metric_named("error", Task.BINARY), np.random.default_rng(0)
    spreads = []
    for rows in (50, 5000):
        target = rng.integers(0, 2, rows).astype(float)
        predictions = np.column_stack([1 - target, target])
        predictions[: rows // 5] = predictions[: rows // 5, ::-1]
        spreads.append(spread_of(metric, target, predictions))
    assert spreads[0] == pytest.approx((0.2 * 0.8 / 50) ** 0.5, rel=0.4)
    assert spreads[1] == pytest.approx((0.2 * 0.8 / 5000) ** 0.5, rel=0.4)


def raced(data: Table, margin: float, **options: Any) -> TableTask:
    given = {"metric": "error", "mode": "select", "folds": 5, "race": margin, **options}
    task = TableTask(data, FeaturesOptions(data="mixed", **given))
    task.hold_against(task.baseline(task.load(1), 0), [data.terms])
    return task


def numbers_of(row: Any) -> list[float]:
    assert not isinstance(row, Failure)
    return [float(value) for value in row]


def test_what_is_not_stopped_has_the_row_it_has_without_races() -> None:
    data = table(mixed(300))
    free, racing = raced(data, 0.0), raced(data, 2.0)
    subsets: list[tuple[Term, ...]] = [data.terms, data.terms[:2], data.terms[3:], data.terms[5:]]
    for terms in subsets:
        without = numbers_of(free.row(free.load(1), terms, 0, Split.SEARCH))
        assert numbers_of(racing.row(racing.load(1), terms, 0, Split.SEARCH)) == [*without, 5.0]


def test_a_subset_that_is_stopped_has_the_mean_of_the_folds_that_it_has_and_says_how_many() -> None:
    data = table(mixed(300))
    task = raced(data, 2.0)
    noise = (*data.terms[-2:], *(Formula("square", (data.terms[-1],)) for _ in range(len(data.terms))))
    loaded = task.load(1)
    loss, _, folds = numbers_of(task.row(loaded, noise, 0, Split.SEARCH))
    assert 1 <= folds < 5
    assert loss == pytest.approx(task.losses(loaded, task.parts.folds[: int(folds)], noise, 0).mean())
    (complete,) = task.constraints
    assert (complete.name, complete.bound) == ("folds", 5)


def test_all_columns_and_references_are_never_stopped() -> None:
    data = table(mixed(300))
    task = raced(data, 0.001)
    worse = Baseline(task.baseline(task.load(1), 0).costs, (0.0,) * 5, (0.0,) * 5)
    task.hold_against(worse, [data.terms])
    assert numbers_of(task.row(task.load(1), data.terms, 0, Split.SEARCH))[-1] == 5
    assert numbers_of(task.row(task.load(1), (*data.terms, data.terms[0]), 0, Split.SEARCH))[-1] == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["add", "select"])
def test_every_score_of_a_front_is_the_mean_of_the_folds(tmp_path: Path, mode: Any) -> None:
    options = FeaturesOptions(data="mixed", mode=mode, budget=120, survivors=6, others=10, folds=3, race=1.0)
    problem = FeatureSearch(table(mixed(200)), options)
    config = {"search": {"population": 8, "generations": 3, "seed": 3}, "evaluation": {"backend": "serial"}}
    search = emoprune.search(config, problem=problem, runs=tmp_path)
    for _ in search:
        pass
    history = {each.candidate.id: each for each in search.run.evaluations()}
    task, loaded = problem.task, problem.task.load(1)
    front = search.run.pareto
    assert front.loc[front["name"] == "unpruned", "obj.log_loss"].notna().all()
    for number, score in zip(front["candidate_id"], front["obj.log_loss"], strict=True):
        terms = problem.kept(history[number].candidate.genome)
        assert score == pytest.approx(task.losses(loaded, task.parts.folds, terms, 0).mean(), rel=1e-9)
    assert {each.values["folds"] for each in history.values() if each.ok} <= {1.0, 2.0, 3.0}
