"""The candidate that a run's own evidence speaks for, asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from problems_for_tests import Knapsack12
from searching_for_tests import searched_run

from emoprune.commands.export import export
from emoprune.commands.reopen import best_of, ready, reopened
from emoprune.errors import RunNotFound
from emoprune.problems.tables.scores.evidence import Evidence
from emoprune.problems.tables.subsets.features import Features
from emoprune.run import Run
from emoprune.space import IntArray

SETTINGS = {
    "problem": {
        "name": "features",
        "data": "tables_for_tests:mixed",
        "metric": "error",
        "budget": 40,
        "survivors": 4,
        "others": 4,
        "references": [],
        "folds": 2,
    },
    "search": {"population": 6, "generations": 1},
    "evaluation": {"backend": "serial"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched_run(SETTINGS, runs=tmp_path_factory.mktemp("runs"), name="features")


def shown(monkeypatch: pytest.MonkeyPatch, differences: Mapping[int, float]) -> None:
    """Let evidence be what a test says: what is made of it is asked here, not how it is found."""

    def evidence(_problem: Features, genomes: Mapping[int, IntArray], _seed: int) -> dict[int, Evidence]:
        return {number: Evidence(differences.get(number, 0.5), 0.01) for number in genomes}

    monkeypatch.setattr(Features, "evidence", evidence)


def test_the_candidate_that_fresh_folds_show_to_be_better_is_exported(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = run.pareto
    candidate = int(frame.loc[frame["name"] == "", "candidate_id"].iloc[0])
    shown(monkeypatch, {candidate: -0.2})
    folder, _ = export(run, "best")
    assert folder == run.path / "exports" / str(candidate)
    assert (folder / "features.json").is_file()


def best_in(run: Run) -> int:
    with reopened(run, None, call="", trust_code=False) as made:
        ready(made, run, "cpu")
        return best_of(made, run).candidate.id


def test_all_columns_are_the_best_where_nothing_is_shown_to_be_better(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(monkeypatch, {})
    assert run.references[best_in(run)] == "unpruned"


@pytest.mark.usefixtures("compared_briefly")
def test_real_evidence_names_one_of_the_candidates(run: Run) -> None:
    assert best_in(run) in set(run.pareto["candidate_id"])


def test_a_problem_without_evidence_has_no_best(tmp_path: Path) -> None:
    settings = {"search": {"population": 4, "generations": 1}, "evaluation": {"backend": "serial"}}
    plain = searched_run(settings, problem=Knapsack12(), runs=tmp_path, name="plain")
    with pytest.raises(RunNotFound, match="run plain has no best: its scores have no standard errors"):
        export(plain, "best", problem=Knapsack12())
