"""The best of all candidates measured again on select: what was good by chance is found out, and what was not, too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations_for_tests import unend
from numpy.typing import NDArray
from problems_for_tests import Knapsack12
from searching_for_tests import searched_run

import emoprune
from emoprune.contracts import Objective, Rows
from emoprune.errors import ConfigError
from emoprune.records import Candidate, Evaluation, Ran, Split, Status
from emoprune.run import Run
from emoprune.run.frames import best_share
from emoprune.space import IntArray


def searched(folder: Path, name: str, **search: Any) -> Run:
    settings = {"search": {"population": 12, "generations": 4, **search}, "evaluation": {"backend": "serial"}}
    return searched_run(settings, problem=Knapsack12(), runs=folder, name=name)


def evaluation(number: int, status: Status = Status.OK, **values: float) -> Evaluation:
    candidate = Candidate(number, np.array([number]), 0, "initial")
    reason = None if status is Status.OK else "why"
    return Evaluation(candidate, Split.SEARCH, status, values, 1, Ran("w", 1.0), reason)


def on_select(run: Run) -> set[int]:
    return {number for number, split in run.remeasured() if split is Split.SELECT}


def test_front_after_front_is_taken_until_the_share_is_full_the_oldest_first() -> None:
    rows = [evaluation(0, a=1, b=4), evaluation(1, a=2, b=5), evaluation(2, a=3, b=1), evaluation(3, a=2, b=6)]
    rows.append(evaluation(4, Status.ERROR))
    objectives = (Objective("a"), Objective("b"))

    def taken(share: float) -> list[int]:
        return [each.candidate.id for each in best_share(rows, objectives, (), share)]

    assert taken(0.2) == [0]
    assert taken(0.4) == [0, 2]
    assert taken(0.6) == [0, 2, 1]
    assert taken(1.0) == [0, 2, 1, 3], "what failed is never taken"


def test_the_search_goes_the_same_way_and_more_is_measured_again(tmp_path: Path) -> None:
    plain, again = searched(tmp_path, "plain"), searched(tmp_path, "again", reconsider=0.5)
    assert again.history["genome"].tolist() == plain.history["genome"].tolist()
    assert on_select(plain) < on_select(again)
    assert len(on_select(again)) >= math.ceil(0.5 * len(again.evaluations()))


def test_ranks_come_from_everybody_who_was_measured_again(tmp_path: Path) -> None:
    plain, again = searched(tmp_path, "plain"), searched(tmp_path, "again", reconsider=0.5)
    ranked = again.pareto
    assert set(ranked["candidate_id"]) >= set(plain.pareto["candidate_id"])
    assert set(ranked.loc[ranked["rank"].notna(), "candidate_id"]) == on_select(again)
    better = ranked[ranked["rank"] == 1][["select.loss", "select.weight"]].to_numpy()
    assert np.isfinite(ranked.loc[ranked["rank"] == 1, "test.loss"]).all()
    for row in plain.pareto[plain.pareto["rank"] == 1][["select.loss", "select.weight"]].to_numpy():
        assert (better <= row).all(axis=1).any()


def test_a_run_in_two_parts_ends_as_one_in_one(tmp_path: Path) -> None:
    whole = searched(tmp_path, "whole", reconsider=0.3)
    first = searched(tmp_path, "parts", reconsider=0.3, generations=2)
    list(emoprune.resume(first, problem=Knapsack12(), overrides=["search.generations=4"]))
    columns = ["candidate_id", "rank", "obj.loss", "select.loss", "test.loss"]
    assert first.pareto[columns].equals(whole.pareto[columns])


def test_a_search_that_is_stopped_while_it_measures_again_goes_on_with_what_is_left(tmp_path: Path) -> None:
    class Interrupted(Knapsack12):
        asked = 0

        def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Rows:
            self.asked += split is Split.SELECT
            if self.asked == 2:
                raise KeyboardInterrupt
            return super().evaluate(genomes, seeds, split)

    whole = searched(tmp_path, "whole", reconsider=0.5)
    settings = {
        "search": {"population": 12, "generations": 4, "reconsider": 0.5},
        "evaluation": {"backend": "serial", "chunk": 5},
    }
    stopped = emoprune.search(settings, problem=Interrupted(), runs=tmp_path, name="stopped")
    with pytest.raises(KeyboardInterrupt):
        list(stopped)
    before = on_select(stopped.run)
    assert 0 < len(before) < len(on_select(whole))
    list(emoprune.resume(stopped.run, problem=Knapsack12()))
    lines = (stopped.run.path / "remeasured.jsonl").read_text().splitlines()
    assert len(lines) == len(stopped.run.remeasured()), "nothing is measured twice"
    columns = ["candidate_id", "rank", "obj.loss", "select.loss", "test.loss"]
    assert stopped.run.pareto[columns].equals(whole.pareto[columns])


def test_nothing_is_shown_of_it_before_it_is_measured_again(tmp_path: Path) -> None:
    run = searched(tmp_path, "r", reconsider=0.5)
    unend(run.path)
    (run.path / "remeasured.jsonl").write_text("")
    assert set(run.pareto["candidate_id"]) <= {*run.pareto_at(3)["candidate_id"]}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"search\.reconsider"):
        emoprune.search({"problem": "channels", "search": {"reconsider": share}})
