from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from runs_for_tests import LATENCY, Story

from emoprune.contracts import as_minimised
from emoprune.front import non_dominated
from emoprune.records import Split
from emoprune.report.ranking import rank


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_front_is_ordered_from_best_to_worst_in_the_first_objective(objectives: int) -> None:
    ranking = rank(Story(objectives=objectives, generations=5, measured=False).tell())
    values = np.array([ranking.values(entry) for entry in ranking.front])
    assert (np.diff(values[:, 0]) >= 0).all()
    assert non_dominated(as_minimised(values, ranking.objectives)).all()


def test_everybody_in_the_front_table_of_the_run_is_ranked_once() -> None:
    run = Story(generations=5).tell()
    assert sorted(entry.id for entry in rank(run).entries) == sorted(run.pareto["candidate_id"])


def test_the_numbers_of_test_are_shown_once_the_front_and_all_references_were_measured_there() -> None:
    assert rank(Story(generations=2, measured=False).tell()).split is Split.SEARCH
    run = Story(generations=2, measured=True).tell()
    assert rank(run).split is Split.TEST
    half = run.pareto.copy()
    last = half.index[half["rank"] == 1][-1]
    half.loc[last, ["test.error", "test.macs"]] = np.nan
    half.loc[last, "test.status"] = ""
    assert rank(replace(run, pareto=half)).split is Split.SEARCH


def test_a_candidate_that_failed_on_test_does_not_keep_the_others_from_being_reported() -> None:
    run = Story(generations=2, measured=True).tell()
    frame = run.pareto.copy()
    last = frame.index[frame["rank"] == 1][-1]
    frame.loc[last, ["test.error", "test.macs"]] = np.nan
    frame.loc[last, "test.status"] = "timeout"
    ranking = rank(replace(run, pareto=frame))
    assert ranking.split is Split.TEST
    assert ranking.notes(ranking.front[-1])[-1] == "failed on test (timeout)"
    assert ranking.cells([ranking.front[-1]])[ranking.front[-1].id][0].value == "-"


def test_a_change_is_in_percent_of_the_unpruned_on_the_split_that_is_shown() -> None:
    run = Story(generations=3).tell()
    ranking = rank(run)
    entry = ranking.front[-1]
    row = run.pareto.set_index("candidate_id").loc[entry.id]
    base = run.pareto.set_index("candidate_id").loc[0]
    expected = [100 * (row[f"test.{name}"] / base[f"test.{name}"] - 1) for name in ("error", "macs")]
    assert ranking.changes(entry) == pytest.approx(expected)


def test_the_unpruned_has_no_change_against_itself() -> None:
    ranking = rank(Story(generations=2).tell())
    unpruned = ranking.unpruned
    assert unpruned is not None
    assert ranking.changes(unpruned) == [None, None]


def test_more_is_better_where_an_objective_is_maximised() -> None:
    ranking = rank(Story(objectives=3, generations=3).tell())
    entry = max(ranking.front, key=lambda entry: float(ranking.values(entry)[2]))
    cell = ranking.cells([entry])[entry.id][2]
    assert cell.change.startswith("+")
    assert cell.better


def test_a_candidate_that_fell_behind_when_measured_again_is_not_on_the_front() -> None:
    ranking = rank(Story().tell())
    assert ranking.surpassed
    assert not any(entry.on_front or entry.name for entry in ranking.surpassed)


def test_a_reference_that_failed_is_listed_with_its_failure_and_without_numbers() -> None:
    ranking = rank(Story(failing=1.0, generations=1).tell())
    assert ranking.front == ()
    assert [ranking.notes(entry)[-1] for entry in ranking.references] == ["failed (error)"] * 3
    assert all(np.isnan(ranking.values(entry)).all() for entry in ranking.references)


def test_an_entry_that_breaks_a_constraint_says_which() -> None:
    ranking = rank(Story(constrained=True, generations=3).tell())
    unpruned = ranking.unpruned
    assert unpruned is not None
    assert ranking.missed(unpruned) == (LATENCY,)
    assert "breaks latency" in ranking.notes(unpruned)
    assert not any(ranking.missed(entry) for entry in ranking.front)


def test_a_run_that_is_still_being_prepared_has_an_empty_ranking() -> None:
    run = Story(generations=1, measured=False).tell()
    manifest = {name: value for name, value in run.manifest.items() if name not in ("objectives", "constraints")}
    ranking = rank(replace(run, manifest={**manifest, "references": []}, pareto=run.pareto.iloc[:0]))
    assert ranking.entries == ()
    assert ranking.unpruned is None
