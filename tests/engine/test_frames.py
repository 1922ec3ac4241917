"""The front as a frame: its columns, what the changes are measured against, and what each column means."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from runs_for_tests import Story

from emoprune.cli.output import rows
from emoprune.contracts import Objective
from emoprune.front import FloatArray, crowding
from emoprune.records import Candidate, Evaluation, Ran, Split, Status
from emoprune.run.frames import pareto_frame, pareto_schema, reported_split

ERROR = Objective("error")


def evaluation(number: int, value: float, split: Split = Split.SEARCH) -> Evaluation:
    candidate = Candidate(number, np.array([number]), 0, "initial")
    return Evaluation(candidate, split, Status.OK, {"error": value, "size": -value}, 1, Ran("w", 0.1))


def frame_of(values: list[float], on_test: dict[int, Evaluation] | None = None) -> pd.DataFrame:
    measured = [evaluation(number, value) for number, value in enumerate(values)]
    again = {(number, Split.TEST): each for number, each in (on_test or {}).items()}
    return pareto_frame(measured, again, {0: "unpruned"}, [ERROR, Objective("size")], [])


def changes(frame: pd.DataFrame) -> list[float]:
    return frame.set_index("candidate_id")["delta.error"].sort_index().tolist()


def test_changes_are_those_of_search_until_everything_was_measured_on_test() -> None:
    tested = {number: evaluation(number, value, Split.TEST) for number, value in enumerate([4.0, 6.0, 8.0])}
    assert changes(frame_of([1.0, 2.0, 3.0])) == [0.0, 100.0, 200.0]
    half = frame_of([1.0, 2.0, 3.0], {number: tested[number] for number in (0, 1)})
    assert reported_split(half) is Split.SEARCH
    assert changes(half) == [0.0, 100.0, 200.0]
    whole = frame_of([1.0, 2.0, 3.0], tested)
    assert reported_split(whole) is Split.TEST
    assert changes(whole) == [0.0, 50.0, 100.0]


def test_what_failed_on_test_was_measured_there_and_has_no_change() -> None:
    tested = {number: evaluation(number, value, Split.TEST) for number, value in enumerate([4.0, 6.0, 8.0])}
    tested[2] = replace(tested[2], status=Status.TIMEOUT, values={}, reason="too slow")
    frame = frame_of([1.0, 2.0, 3.0], tested)
    assert reported_split(frame) is Split.TEST
    assert np.isnan(changes(frame)[2])
    assert frame.set_index("candidate_id").loc[2, "test.status"] == "timeout"


@pytest.mark.parametrize("origin", [0.0, 5e-324])
def test_there_is_no_change_against_nothing(origin: float) -> None:
    frame = frame_of([origin, 1e100])
    assert np.isnan(changes(frame)[1])
    json.dumps(rows(frame), allow_nan=False)


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(3, 20), st.integers(2, 4)), elements=st.floats(-9, 9), unique=True)
)
def test_crowding_is_the_distance_that_nsga2_uses(values: FloatArray) -> None:
    np.testing.assert_allclose(crowding(values) / values.shape[1], calc_crowding_distance(values), rtol=1e-12)


def test_the_ends_of_a_front_have_no_crowding_and_its_middle_has() -> None:
    frame = frame_of([1.0, 2.0, 4.0, 5.0]).set_index("candidate_id")["crowding"].sort_index()
    assert frame.isna().tolist() == [True, False, False, True]
    assert frame.iloc[1] == pytest.approx(3 / 4 + 3 / 4)
    assert crowding(np.zeros((0, 2))).shape == (0,)


def test_every_column_of_the_front_has_a_meaning() -> None:
    story = Story(objectives=3, generations=2, constrained=True)
    schema = pareto_schema(story.tell().pareto, story.all_objectives, story.constraints)
    assert all(facts.get("meaning") for facts in schema["columns"].values())
