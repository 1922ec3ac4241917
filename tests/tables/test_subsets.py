"""The problems on tables: their promises, their genes, what is kept in a run, and searches of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emoprune
from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError, StorageError
from emoprune.problems.tables.formulas.formula import Column, Formula, plain_of
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.subsets.features import Features, FeaturesOptions
from emoprune.problems.tables.subsets.genes import SubsetGenes
from emoprune.records import Split
from emoprune.testing import ProblemConformance, legal_genomes

RATIO = Formula("divide", (Column("size"), Column("weight")))
BY_CITY = Formula("group-mean", (Column("city"), Column("weight")))


def small_features(**options: Any) -> Features:
    return Features(
        **{"data": "tables_for_tests:mixed", "budget": 120, "survivors": 6, "others": 10, "folds": 3, **options}
    )


class TestFeatureSubset(ProblemConformance):
    def problem(self) -> Problem:
        return FeatureSubset(
            data="tables_for_tests:mixed",
            formulas=[plain_of(RATIO), plain_of(BY_CITY)],
            folds=3,
            metric="error",
            at_most={"error": 0.4},
            costs=["columns", "price"],
            prices={"size": 3.0},
        )


class TestFeatures(ProblemConformance):
    genomes = 4

    def problem(self) -> Problem:
        return small_features()


class TestTabularStream(ProblemConformance):
    genomes = 4

    def problem(self) -> Problem:
        return TabularStream(data="tables_for_tests:stream", window=200, costs=["columns", "changes"])


def prepared(problem: Any, folder: Path) -> Any:
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def test_all_references_are_there_the_whole_table_first(tmp_path: Path) -> None:
    problem = prepared(small_features(mode="select", references=FeaturesOptions(data="").references), tmp_path)
    names = [reference.name for reference in problem.references()]
    assert names[0] == "unpruned"
    families = {name.rstrip("0123456789").rstrip("-") for name in names}
    assert families >= {"openfe", "stable", "rfe", "boruta", "forward", "forward-new"}
    kept = {reference.name: problem.kept(reference.genome) for reference in problem.references()}
    assert kept["unpruned"] == problem.task.table.terms
    openfe = next(terms for name, terms in kept.items() if name.startswith("openfe"))
    assert set(openfe) > set(problem.task.table.terms)


def test_of_the_plain_answer_as_much_is_a_reference_as_there_are_bits(tmp_path: Path) -> None:
    problem = Features(data="iris", budget=30, survivors=2, others=20, folds=2, references=["openfe"])
    problem.prepare(tmp_path, 3)
    columns, terms = problem.task.table.terms, problem.kept(problem.references()[1].genome)
    assert terms[: len(columns)] == columns
    assert set(terms[len(columns) :]) == set(problem._known.bits)


def test_what_was_prepared_is_found_again_and_not_made_again(tmp_path: Path) -> None:
    first = prepared(small_features(), tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {"learner.json", "new-features.json", "references.json", "yardsticks.json"}
    second = small_features()
    second.prepare(tmp_path, 2)  # another seed would find others
    assert second.space.names == first.space.names
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("content", ["{", '{"survivors": [{"column": "size"}], "others": [], "openfe": []}'])
def test_a_damaged_file_in_the_run_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "new-features.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"new-features.json .*remove it and it is made again"):
        small_features().prepare(tmp_path, 1)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*gone/learner.json: the folder is gone, .*; put it back"):
        small_features().prepare(tmp_path / "gone", 1)


def test_tables_load_neither_torch_nor_safetensors_which_their_extra_does_not_install() -> None:
    names = ", ".join(f"emoprune.problems.tables.{each}" for each in ("subsets.features", "streams.problem"))
    code = f"import sys, {names}; print(*sorted({{'torch', 'safetensors'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.split() == []


def test_nothing_is_asked_of_a_problem_before_its_time() -> None:
    problem = small_features()
    with pytest.raises(ContractError, match="call prepare"):
        _ = problem.space
    with pytest.raises(ContractError, match="call setup"):
        TabularStream(data="tables_for_tests:stream", window=200).evaluate(
            np.zeros((1, 4), dtype=np.int64), np.zeros(1, dtype=np.uint64), Split.SEARCH
        )


def test_a_config_names_new_features_by_their_formulas() -> None:
    problem = FeatureSubset(data="tables_for_tests:mixed", formulas=[plain_of(RATIO)])
    wrong = plain_of(Formula("divide", (Column("sise"), Column("weight"))))
    with pytest.raises(ConfigError, match="'size' is a column, which has a bit anyway"):
        FeatureSubset(data="tables_for_tests:mixed", formulas=[{"column": "size"}])
    with pytest.raises(ConfigError, match=r"there is no column 'sise'.*'size'"):
        FeatureSubset(data="tables_for_tests:mixed", formulas=[wrong])
    assert problem.task.table.names[0] == "size"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"operators": ["plus"]}, "no operator is called 'plus'"),
        ({"order": 0}, "order: expected at least 1"),
        ({"budget": 0}, "budget: expected at least 1"),
        ({"survivors": -1}, "survivors: expected 0 or more"),
        ({"references": ["openfee"]}, "references: no reference is called 'openfee'.*'openfe'"),
        ({"references": ["rfe", "rfe"]}, "references: expected each once, found 'rfe' again"),
        ({"metric": "neg_mean_squared_error"}, "none for a binary task"),
        ({"learner": "xgboost"}, "no learner is called 'xgboost'"),
        ({"costs": ["flops"]}, "costs: no objective is called 'flops'"),
        ({"select": 0.9}, "at most 0.8 together"),
        ({"data": "nothing.csv"}, "no table is called 'nothing.csv'"),
    ],
)
def test_a_mistake_in_the_options_is_found_before_anything_is_made(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        small_features(**options)


GENES = SubsetGenes((Column("a"), Column("b")), (RATIO, BY_CITY, Formula("square", (Column("a"),))), 2)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_genome_in_canonical_form_is_the_one_of_what_it_keeps(seed: int) -> None:
    genomes = legal_genomes(GENES.space, 20, np.random.default_rng(seed))
    for genome in GENES.space.check(GENES.canonical(genomes), "canonical"):
        kept = GENES.decoded(genome)
        assert len(set(kept)) == len(kept) > 0
        np.testing.assert_array_equal(GENES.encoded(kept), genome)


def test_two_slots_with_the_same_feature_hold_it_once() -> None:
    np.testing.assert_array_equal(GENES.canonical(np.array([[1, 0, 2, 2]])), [[1, 0, 0, 2]])


def test_what_there_are_no_genes_for_cannot_be_kept() -> None:
    with pytest.raises(ContractError, match="expected columns and features that genes stand for"):
        GENES.encoded([Column("c")])
    with pytest.raises(ContractError, match="expected columns and features that genes stand for"):
        GENES.encoded(GENES.others)


def test_a_description_names_columns_and_formulas(tmp_path: Path) -> None:
    problem = FeatureSubset(data="tables_for_tests:mixed", formulas=[plain_of(RATIO)], references=[])
    problem.prepare(tmp_path, 1)
    genome = np.zeros(len(problem.space), dtype=np.int64)
    genome[[2, -1]] = 1
    assert problem.describe(genome) == {
        "inputs": 2,
        "columns": "grade",
        "generated": "size / weight",
        "computed from": "3 of 7 columns",
    }


def test_an_inspection_says_what_the_table_holds() -> None:
    found = small_features(groups="colour", splits="stratified").inspect()
    assert found.summary["rows"] == 160
    assert found.summary["columns"] == 6
    kinds = {row["column"]: row["kind"] for row in found.tables["columns"]}
    assert kinds["city"] == "categorical"
    assert sum(int(row["formulas"]) for row in found.tables["operators"]) == found.summary["formulas of order 1"]  # type: ignore[arg-type]


def test_latency_can_be_an_objective(tmp_path: Path) -> None:
    problem = FeatureSubset(data="tables_for_tests:mixed", costs=["milliseconds"], references=[], folds=1)
    prepared(problem, tmp_path)
    row = problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]
    assert 0 < row[1] < 1000  # type: ignore[index]


@pytest.mark.timeout(120)
def test_a_search_ends_with_a_front_and_is_the_same_again(tmp_path: Path) -> None:
    config = {
        "problem": {"name": "features", "data": "tables_for_tests:mixed", "budget": 120, "survivors": 6, "folds": 2},
        "search": {"population": 8, "generations": 3, "seed": 3},
        "evaluation": {"backend": "serial"},
    }
    fronts = []
    for name in ("one", "two"):
        search = emoprune.search(config, runs=tmp_path, name=name)
        for _ in search:
            pass
        fronts.append(search.run.pareto.drop(columns=["wall_s", "worker"]))
    assert fronts[0].equals(fronts[1])
    assert (tmp_path / "one" / "problem" / "new-features.json").is_file()
    described = json.loads((tmp_path / "one" / "descriptions.json").read_text(encoding="utf-8"))
    assert any("generated" in str(words) for words in described.values())


def test_the_folder_of_a_run_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    first = prepared(small_features(), tmp_path / "made")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    second = prepared(small_features(), tmp_path / "moved")
    genomes, seeds = first.space.full[np.newaxis], np.zeros(1, dtype=np.uint64)
    assert first.evaluate(genomes, seeds, Split.SEARCH) == second.evaluate(genomes, seeds, Split.SEARCH)
