"""References picked from what generation 0 measured: measured by workers, named, counted, resumed to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations_for_tests import unend
from problems_for_tests import SurveyingKnapsack12
from searching_for_tests import searched_run

import emoprune
from emoprune.contracts import FloatArray, Reference
from emoprune.errors import ContractError, EvaluationsFailed
from emoprune.run import Run
from emoprune.space import IntArray
from emoprune.testing import ProblemConformance

SURVEYING = "problems_for_tests:SurveyingKnapsack12"
RAN = ["worker", "seconds", "attempts"]
NAMES = ["unpruned", "uniform", "lightest", "without-1", "without-3", "without-6"]


def config(**options: Any) -> dict[str, Any]:
    return {
        "problem": {"name": SURVEYING, "noise": 0.02, **options},
        "search": {"population": 20, "generations": 3, "seed": 3},
        "evaluation": {"backend": "serial", "chunk": 3},
    }


def finished(runs: Path, name: str) -> Run:
    return searched_run(config(), runs=runs, name=name)


def given(runs: Path, problem: SurveyingKnapsack12) -> Run:
    settings = {part: own for part, own in config().items() if part != "problem"}
    return searched_run(settings, runs=runs, problem=problem)


def facts(run: Run) -> list[object]:
    return [
        run.history.drop(columns=RAN).to_json(),
        run.generations.drop(columns="seconds").to_json(),
        run.pareto.drop(columns=["worker", "wall_s"]).to_json(),
        run.references,
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("whole"), "whole")


class TestSurveyingProblem(ProblemConformance):
    def problem(self) -> SurveyingKnapsack12:
        return SurveyingKnapsack12()


def test_what_a_survey_measures_is_in_generation_0_and_counted(whole: Run) -> None:
    first = whole.history[whole.history["generation"] == 0]
    origins = first["origin"].value_counts()
    assert origins["start"] == 12
    assert origins["initial"] == 20 - 12 - 3
    assert origins["reference:without-3"] == origins["reference:without-6"] == 1
    assert whole.generations["evaluated"].tolist() == [22, 42, 62]
    assert whole.generations["born"].tolist() == [22, 20, 20]
    assert (whole.history["candidate"] == np.arange(62)).all()


def test_references_picked_from_a_survey_are_named_and_in_the_front_table_with_their_values(whole: Run) -> None:
    assert list(whole.references.values()) == NAMES
    rows = whole.pareto[whole.pareto["name"] != ""]
    assert set(rows["name"]) == set(NAMES)
    assert not rows[["obj.loss", "select.loss", "test.loss"]].isna().any(axis=None)


def test_a_picked_reference_that_was_measured_already_only_gets_its_name(whole: Run) -> None:
    number = next(number for number, name in whole.references.items() if name == "without-1")
    assert whole.history.set_index("candidate").loc[number, "origin"] == "start"


def test_a_survey_is_told_every_genome_with_its_values_in_the_order_of_the_candidates(tmp_path: Path) -> None:
    class Telling(SurveyingKnapsack12):
        def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
            told.append((genomes, values))
            return super().surveyed(genomes, values)

    told: list[tuple[IntArray, FloatArray]] = []
    run = given(tmp_path, Telling(noise=0.02, broken=2))
    (genomes, values) = told[0]
    first = run.evaluations()[: len(genomes)]
    assert len(told) == 1
    assert len(genomes) == 20
    assert [each.candidate.genome.tolist() for each in first] == genomes.tolist()
    expected = [[each.values.get(name, np.nan) for name in ("loss", "weight")] for each in first]
    np.testing.assert_array_equal(values, expected)
    assert np.isnan(values).all(axis=1).sum() == 2


def test_killed_after_any_evaluation_of_generation_0_the_run_resumes_to_the_same(tmp_path: Path, whole: Run) -> None:
    lines = (whole.path / "history.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for count in range(0, 23, 2):
        cut = tmp_path / f"cut{count}"
        shutil.copytree(whole.path, cut, ignore=shutil.ignore_patterns("checkpoints", "*.jsonl", "status.json"))
        unend(cut)
        (cut / "checkpoints").mkdir()
        (cut / "history.jsonl").write_text("".join(lines[:count]), encoding="utf-8")
        for _ in emoprune.resume(cut):
            pass
        assert facts(Run(cut)) == facts(whole), f"cut after {count} evaluations"
        assert len((cut / "history.jsonl").read_text(encoding="utf-8").splitlines()) == len(lines)


def test_a_stop_inside_a_survey_can_be_resumed(tmp_path: Path, whole: Run) -> None:
    problem = SurveyingKnapsack12(noise=0.02)
    settings = {part: own for part, own in config().items() if part != "problem"}
    searching = emoprune.search(settings, runs=tmp_path, problem=problem)
    real = problem.evaluate

    def stopping(*arguments: Any) -> Any:
        searching.stop()
        return real(*arguments)

    problem.evaluate = stopping  # type: ignore[method-assign]  # the next evaluation is the last
    for _ in searching:
        pass
    assert len(searching.run.evaluations()) == 3
    for _ in emoprune.resume(searching.run, problem=SurveyingKnapsack12(noise=0.02)):
        pass
    assert facts(searching.run) == facts(whole)


def test_references_picked_under_a_name_that_is_taken_are_refused(tmp_path: Path) -> None:
    class Twice(SurveyingKnapsack12):
        def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
            return [Reference("uniform", self.space.full)]

    with pytest.raises(ContractError, match="two references share a name"):
        given(tmp_path, Twice())


def test_a_survey_that_raises_is_refused_with_what_it_raised(tmp_path: Path) -> None:
    class Raising(SurveyingKnapsack12):
        def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
            raise KeyError("loss")

    with pytest.raises(ContractError, match=r"Raising\.surveyed: expected references, found KeyError: 'loss'"):
        given(tmp_path, Raising())


def test_a_generation_0_that_fails_as_a_whole_is_not_surveyed(tmp_path: Path) -> None:
    class Failing(SurveyingKnapsack12):
        def evaluate(self, *arguments: Any) -> Any:
            raise ValueError("nothing works")

        def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
            raise AssertionError("surveyed without a single value")

    with pytest.raises(EvaluationsFailed, match="all 20 evaluations of generation 0 failed"):
        given(tmp_path, Failing())
