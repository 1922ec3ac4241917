"""Adding new features to all columns, or choosing among both; and columns that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_for_tests import mixed, numbers, table

from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Column, Formula, Term
from emoprune.problems.tables.learners.by_name import learner_plan
from emoprune.problems.tables.learners.guessing import Guess
from emoprune.problems.tables.openfe.stability import most_stable
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.rows.splits import Splits, split
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.subsets.features import FeatureSearch, FeaturesOptions
from emoprune.problems.tables.subsets.genes import SubsetGenes
from emoprune.records import Candidate, Split
from emoprune.testing import legal_genomes

RATIO = Formula("divide", (Column("size"), Column("weight")))
SQUARE = Formula("square", (Column("size"),))
FOURTH = Formula("multiply", (Column("size"), Column("weight")))


def searching(folder: Path, **options: Any) -> FeatureSearch:
    small = {"data": "mixed", "budget": 120, "survivors": 6, "others": 10, "folds": 3, "references": ("stable",)}
    problem = FeatureSearch(table(mixed(200)), FeaturesOptions(**{**small, **options}))
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def test_all_columns_stay_unless_asked_otherwise_and_only_new_features_have_genes(tmp_path: Path) -> None:
    problem = searching(tmp_path)
    columns = problem.task.table.terms
    assert [objective.name for objective in problem.objectives] == ["log_loss", "new-columns"]
    assert len(problem.space) == 6 + 4
    for genome in legal_genomes(problem.space, 10, np.random.default_rng(0)):
        assert problem.kept(genome)[: len(columns)] == columns
    nothing = np.zeros(len(problem.space), dtype=np.int64)
    assert problem.kept(nothing) == columns
    np.testing.assert_array_equal(problem.references()[0].genome, nothing)
    row = problem.evaluate(nothing[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]
    assert row[1] == 0  # type: ignore[index]  # it was measured


def test_references_that_only_drop_columns_are_left_out_where_all_of_them_stay(tmp_path: Path) -> None:
    asked = ("openfe", "stable", "rfe", "mutual-information", "boruta", "forward", "forward-new")
    names = {reference.name.rsplit("-", 1)[0] for reference in searching(tmp_path, references=asked).references()}
    assert names >= {"unpruned", "forward-new"}
    assert not names & {"rfe", "mutual-information", "boruta", "forward"}


def test_columns_that_stay_have_no_genes_and_are_in_every_reference(tmp_path: Path) -> None:
    references = ("rfe", "mutual-information")
    problem = searching(tmp_path, mode="select", keep=("city", "noise0"), references=references)
    assert "city" not in problem.space.names
    assert [objective.name for objective in problem.objectives] == ["log_loss", "columns"]
    for reference in problem.references():
        assert {Column("city"), Column("noise0")} <= set(problem.kept(reference.genome))


def test_what_is_made_of_a_date_stays_with_it(tmp_path: Path) -> None:
    columns, target = mixed(120)
    days = np.datetime64("2024-01-01") + np.arange(120).astype("timedelta64[D]")
    data = table_of({"when": days, **columns}, target, Wanted())
    of_date = {name for name in data.names if name == "when" or name.endswith(" of when")}
    for keep in ("when", "weekday of when"):
        options = FeaturesOptions(data="dated", mode="select", keep=[keep], budget=5, folds=2, references=())
        stay = FeatureSearch(data, options)._always
        assert {str(term) for term in stay} == (of_date if keep == "when" else {keep})


def test_a_subset_of_given_features_keeps_columns_too(tmp_path: Path) -> None:
    problem = FeatureSubset(data="tables_for_tests:mixed", keep=["size"], references=[])
    problem.prepare(tmp_path, 1)
    assert "size" not in problem.space.names
    assert problem.kept(np.zeros(len(problem.space), dtype=np.int64)) == (Column("size"),)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"mode": "replace"}, "mode: expected add or select, found 'replace'"),
        ({"keep": ("sise",)}, r"keep: there is no column 'sise'.*'size'"),
    ],
)
def test_a_wrong_mode_or_column_is_refused(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        searching(tmp_path, **options)


GENES = SubsetGenes((RATIO, SQUARE), (FOURTH,), 1, (Column("size"), Column("weight")))


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_genome_beside_what_stays_is_the_one_of_what_it_keeps(seed: int) -> None:
    for genome in GENES.canonical(legal_genomes(GENES.space, 5, np.random.default_rng(seed))):
        np.testing.assert_array_equal(GENES.encoded(GENES.decoded(genome)), genome)


def test_where_there_is_nothing_to_choose_there_is_one_genome() -> None:
    genes = SubsetGenes((), (), 4, (Column("size"),))
    np.testing.assert_array_equal(genes.space.levels, [1])
    assert genes.decoded(np.zeros(1, dtype=np.int64)) == (Column("size"),)


def test_a_new_feature_counts_only_on_folds_whose_own_training_rows_find_it(tmp_path: Path) -> None:
    problem = searching(tmp_path)
    task, columns = problem.task, problem.task.table.terms
    loaded, first = task.load(1), task.parts.folds[0]
    task.admit({block.key: frozenset() for block in task.parts.folds} | {first.key: frozenset({RATIO})})
    with_ratio: tuple[Term, ...] = (*columns, RATIO)
    honest = task.losses(loaded, task.parts.folds, with_ratio, 0)
    plain = task.losses(loaded, task.parts.folds, columns, 0)
    assert honest[0] != plain[0]
    np.testing.assert_array_equal(honest[1:], plain[1:])
    assert task.losses(loaded, [task.parts.test], with_ratio, 0) != task.losses(loaded, [task.parts.test], columns, 0)


def test_where_no_input_counts_on_a_fold_the_frequencies_are_predicted(tmp_path: Path) -> None:
    problem = searching(tmp_path, mode="select")
    task, block = problem.task, problem.task.parts.folds[0]
    task.admit({block.key: frozenset()})
    guess = Guess.of(task.table, block).predict(np.zeros((len(block.scored), 0)))
    expected = task.measures.metric.loss(task.table.target[block.scored], guess)
    assert task.losses(task.load(1), [block], (RATIO,), 0)[0] == expected


def test_what_the_scored_rows_of_a_fold_say_does_not_change_what_is_found_on_it(tmp_path: Path) -> None:
    data = table(numbers(200))
    options = FeaturesOptions(data="numbers", budget=60, survivors=4, others=6, folds=2, references=())
    problem = FeatureSearch(data, options)
    block = problem.task.parts.folds[0]
    changed = data.target.copy()
    changed[block.scored] = np.random.default_rng(1).permutation(changed[block.scored])
    other = FeatureSearch(data.with_target(changed), options)
    assert problem._found_anew([block, block], 1)[0] == other._found_anew([block, block], 1)[0]


def test_an_audit_on_fresh_folds_says_which_subset_is_worth_to_be_exported(tmp_path: Path) -> None:
    problem = searching(tmp_path, learner={"name": "lightgbm", "trees": 30})
    found = {number: reference.genome for number, reference in enumerate(problem.references(), 5)}
    candidates = [Candidate(number, genome, 0, "reference") for number, genome in found.items()]
    audit = problem.audit(candidates, tmp_path, 1, method="fresh-folds")
    evidence = problem.evidence(found, 1)
    rows = audit.tables["subsets"]
    assert [row["candidate"] for row in rows] == list(found)
    assert [row["difference"] for row in rows] == [each.difference for each in evidence.values()]
    assert rows[0]["new columns"] == 0 == rows[0]["difference"]
    better = {number for number, each in evidence.items() if each.better()}
    assert {row["candidate"] for row in rows if row["better"] == "yes"} == better
    assert audit.findings[0].alarm == (not better)


def test_features_found_early_and_often_come_first() -> None:
    assert most_stable([[RATIO, SQUARE], [FOURTH, RATIO], [RATIO]]) == [RATIO, FOURTH, SQUARE]


def test_trees_are_chosen_once_and_kept_in_the_run_unless_their_number_is_given(tmp_path: Path) -> None:
    problem = searching(tmp_path)
    chosen = dict(problem.task.plan.options)
    assert set(chosen) == {"leaves", "rows_per_leaf", "columns_per_tree", "rate", "trees"}
    (tmp_path / "learner.json").write_text('{"leaves": 4, "rows_per_leaf": 20, "trees": 7}')
    assert searching(tmp_path).task.plan.options["trees"] == 7
    given = searching(tmp_path, learner={"name": "lightgbm", "trees": 30})
    assert given.task.plan.options == {"trees": 30}


def test_what_is_given_of_the_trees_is_kept_to() -> None:
    data = table(numbers(120))
    plan = learner_plan({"name": "lightgbm", "leaves": 5, "rate": 0.2}, data.task)
    closed = plan.closed(Computed(data), split(data, Splits(folds=3)).folds)
    assert (closed.options["leaves"], closed.options["rate"]) == (5, 0.2)
    assert 1 <= closed.options["trees"] <= 400
    assert not closed.open
    assert not learner_plan("ridge", data.task).open


def test_a_target_that_nothing_tells_leaves_all_columns_alone() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.lognormal(size=(240, 5)), columns=list("abcde"))
    found = EvolvedFeatures(population=8, generations=2, budget=120, random_state=0).fit(frame, rng.normal(size=240))
    assert found.get_feature_names_out().tolist() == list("abcde")


def test_a_ratio_that_the_target_is_made_of_is_added_to_all_columns() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.lognormal(size=(400, 4)), columns=list("abcd"))
    target = np.tanh(3 * np.log(frame["a"] / frame["b"])) + rng.normal(0, 0.1, 400)
    found = EvolvedFeatures(population=8, generations=2, budget=120, random_state=0).fit(frame, target)
    names = found.get_feature_names_out().tolist()
    assert names[:4] == list("abcd")
    assert any(set(name.split(" / ")) == {"a", "b"} for name in names[4:])
