"""The problem on rules: its promises, its methods, what it finds, what it exports and what it refuses."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rules_for_tests import birds
from sklearn.utils.estimator_checks import check_estimator

import emoprune
from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.rules.problem import RulesProblem
from emoprune.problems.rules.standalone.classifier import RuleClassifier
from emoprune.records import Split
from emoprune.testing import ProblemConformance, conformance

NAME = "rules"


@pytest.mark.slow
class TestRules(ProblemConformance):
    genomes = 4

    def problem(self) -> Problem:
        return RulesProblem(data="wine")


@pytest.mark.slow
class TestRulesOfCategories(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return RulesProblem(data="rules_for_tests:birds")


for _kind in ("reference", "objective"):
    for _name, _entry in plugins.serving(_kind, NAME).items():
        if _entry.module.startswith("emoprune.problems.rules"):
            _class = conformance(_kind, _name, NAME, genomes=2)
            # A measure's problem is exported as well, for which a fresh process imports scikit-learn twice.
            globals()[f"Test{_entry.attr}"] = pytest.mark.slow(_class) if _kind == "objective" else _class


def prepared(folder: Path, **options: Any) -> RulesProblem:
    problem = RulesProblem(**options)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def searched(folder: Path, data: str, seed: int, population: int = 40, generations: int = 20) -> pd.DataFrame:
    config = {
        "problem": {"name": NAME, "data": data, "split_seed": seed},
        "search": {"population": population, "generations": generations, "seed": seed},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=folder, name=f"{data.rpartition(':')[2]}-{seed}")
    list(search)
    frame = search.run.pareto
    words = search.run.descriptions
    return frame.assign(text=[words[number]["text"] for number in frame["candidate_id"]])


def test_thresholds_stand_for_the_rules_that_are_left(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="breast-cancer")
    genome = problem.space.full.copy()
    genome[:2] = 2, 4  # an improvement of 0.02 and a confidence of 0.75
    (same,) = problem.canonical(genome[np.newaxis])
    confold = {each.name: each.genome for each in problem.references()}["confold"]
    np.testing.assert_array_equal(same, confold)
    assert problem.describe(genome) == problem.describe(same)


def test_genomes_that_keep_the_same_words_are_one(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="breast-cancer")
    rng = np.random.default_rng(0)
    genomes = np.array([rng.integers(0, problem.space.levels) for _ in range(120)])
    genomes[:, 2:] &= rng.random((120, genomes.shape[1] - 2)) < 0.3
    keys: dict[str, set[bytes]] = {}
    for genome in problem.canonical(genomes):
        keys.setdefault(str(problem.describe(genome)["text"]), set()).add(problem.space.key(genome))
    assert len(keys) < 110, "expected some to be the same"
    assert max(map(len, keys.values())) == 1


def test_no_rules_leave_every_row_uncovered_and_the_score_of_guessing(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="breast-cancer")
    empty = np.where(np.arange(len(problem.space)) < 2, problem.space.full, 0)
    ((score, literals, uncovered),) = problem.evaluate(empty[np.newaxis], np.zeros(1, np.uint64), Split.TEST)
    assert (literals, uncovered) == (0, 1)
    assert 0.7 < score < 0.8
    assert str(problem.describe(empty)["text"]).startswith("always benign (0.6")


@pytest.mark.slow
def test_an_export_is_read_by_a_person_and_loads_without_emoprune(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="rules_for_tests:birds")
    confold = {each.name: each.genome for each in problem.references()}["confold"]
    folder = tmp_path / "out"
    folder.mkdir()
    problem.export(confold, folder)
    text = (folder / "rules.txt").read_text()
    assert "1. flies (0." in text
    assert "if kind is bird\n    unless penguin is yes\n" in text
    program = (
        "import sys, pandas as pd; sys.path.insert(0, '.'); from rules import load_rules; rules = load_rules();"
        "frame = pd.DataFrame({'kind': ['bird', 'bird', 'never seen'], 'penguin': ['no', 'yes', None],"
        " **{f'noise{n}': [0.0, 0.0, 0.0] for n in range(4)}});"
        "print(list(rules.predict(frame)), 'emoprune' in sys.modules, rules.text.startswith('1. flies'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'flies'" in done.stdout
    assert done.stdout.strip().endswith("False True")
    assert json.loads((folder / "rules.json").read_text())["rules"][0]["if"][0]["says"] == "kind is bird"


@pytest.mark.slow
def test_no_rules_at_all_can_be_exported(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="iris")
    empty = np.where(np.arange(len(problem.space)) < 2, problem.space.full, 0)
    assert "verified" in problem.export(empty, tmp_path / "empty")
    assert (tmp_path / "empty" / "rules.txt").read_text().startswith("always ")


@pytest.mark.slow
def test_an_export_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emoprune.problems.rules import export

    problem = prepared(tmp_path, data="wine")
    monkeypatch.setattr(export, "ALLOWED", -1.0)
    with pytest.raises(ContractError, match="the reloaded rules give other probabilities, by 0"):
        problem.export(problem.space.full, tmp_path / "out")


@pytest.mark.slow
def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="iris")
    problem.export(problem.space.full, tmp_path / "out")
    (tmp_path / "out" / "rules.json").write_text('{"format": "other"}')
    load = runpy.run_path(str(tmp_path / "out" / "rules.py"))["load_rules"]
    with pytest.raises(ValueError, match=r"expected format 'emoprune.rules/1', found 'other'"):
        load(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping check")  # of another array library
def test_a_classifier_of_rules_keeps_scikit_learn_s_promises() -> None:
    check_estimator(RuleClassifier())


def test_rows_that_contradict_each_other_are_said() -> None:
    notes = RulesProblem(data="rules_for_tests:contradictory").inspect().notes
    assert any("rows to learn from have the values of a row of another class" in note for note in notes)


def test_the_rules_that_go_are_struck_through_and_drawn(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="wine")
    confold = {each.name: each.genome for each in problem.references()}["confold"]
    marked = problem.marked(confold)
    assert any(each.kept for each in marked if each.text.strip())
    assert not all(each.kept for each in marked)
    picture = problem.picture(confold)
    assert picture.caption.startswith("1. ")
    assert "of these wrong" in picture.svg


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"data": "planted"}, "expected classes with several rows each"),
        ({"data": "iris", "ratio": 1.0}, "ratio: expected a number between 0 and 1, found 1.0"),
        ({"data": "iris", "most": 0}, "most: expected 1 to 1000 rules, found 0"),
        ({"data": "iris", "confidence": 1.5}, "confidence: expected a number from 0 to below 1, found 1.5"),
        ({"data": "iris", "objectives": []}, "objectives: expected one or more, found none"),
        ({"data": "iris", "objectives": ["literals", "literals"]}, "expected each once, found 'literals' again"),
        ({"data": "iris", "objectives": ["litterals"]}, "objectives: .*'litterals'"),
        ({"data": "iris", "references": ["confald"]}, "references: .*'confald'"),
        ({"data": "iris", "references": [{"name": "random", "percentages": [0]}]}, "whole numbers from 1 to 99"),
        ({"data": "iris", "ignore": ["*"]}, "expected at least one column"),
        ({"data": "rules_for_tests:alone"}, "found one class, 'yes'"),
    ],
)
def test_what_no_rules_can_be_learnt_from_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        RulesProblem(**options)


def test_columns_that_tell_nothing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emoprune.problems.rules.problem.learnt", lambda *given: ())
    with pytest.raises(ConfigError, match="columns that tell the classes apart, found no rule"):
        RulesProblem(data="iris")


@pytest.mark.slow
def test_a_small_search_is_not_dominated_by_the_published_pruning(tmp_path: Path) -> None:
    frame = searched(tmp_path, "breast-cancer", 0, 20, 6)
    assert _not_dominated(frame)


def _not_dominated(frame: pd.DataFrame) -> bool:
    """Whether somebody on the front scores within a point of the published pruning on test, with no more literals."""
    published = frame[frame["name"] == "confold"]
    if published.empty:  # it keeps all, or what another pruning keeps
        return True
    own, front = published.iloc[0], frame[frame["rank"] == 1]
    as_small = front["obj.literals"] <= own["obj.literals"]
    return bool((as_small & (front["test.inverse-brier"] >= own["test.inverse-brier"] - 0.01)).any())


def _half(frame: pd.DataFrame) -> tuple[float, float]:
    """Return what the best on select of those with half of the literals loses on test, and how many it has."""
    whole = frame[frame["name"] == "unpruned"].iloc[0]
    small = frame[(frame["select.literals"] <= whole["select.literals"] / 2) & frame["select.inverse-brier"].notna()]
    best = small.loc[small["select.inverse-brier"].idxmax()]
    return whole["test.inverse-brier"] - best["test.inverse-brier"], best["select.literals"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "data",
    ["breast-cancer", "rules_for_tests:pima", "rules_for_tests:mammographic", "rules_for_tests:australian"],
)
def test_half_of_the_literals_score_within_a_point_on_held_out_rows(tmp_path: Path, data: str) -> None:
    frame = searched(tmp_path, data, 0, 30, 12)
    assert _half(frame)[0] <= 0.01
    assert _not_dominated(frame)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_finds_the_planted_rule_and_exception_in_eight_of_ten_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = 0
    for seed in range(10):
        drawn = birds(1000, seed)
        monkeypatch.setattr("rules_for_tests.birds", lambda drawn=drawn: drawn)
        frame = searched(tmp_path, "rules_for_tests:birds", seed, 24, 8)
        front = [" ".join(text.split()) for text in frame.loc[frame["rank"] == 1, "text"]]
        found += any("if kind is bird; unless penguin is yes" in text for text in front)
    assert found >= 8
