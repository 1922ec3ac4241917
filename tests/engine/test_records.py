"""Records that check themselves and read back from their own lines."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_for_tests import progress

from emoprune.errors import ContractError, RunCorrupt
from emoprune.records import Candidate, Evaluation, Front, Generation, Progress, Ran, Split, Status, table

CANDIDATE = Candidate(3, np.array([1, 0, 2]), 1, "mating", (0, 2))
RAN = Ran("in-process", 0.25, 1)

finite = st.floats(allow_nan=False, allow_infinity=False)


def evaluation(**changes: object) -> Evaluation:
    parts = {"candidate": CANDIDATE, "split": Split.SEARCH, "status": Status.OK, "values": {"error": 0.1}, "seed": 7}
    return Evaluation(**{**parts, "ran": RAN, **changes})  # type: ignore[arg-type]  # the tests pass wrong parts


@given(values=st.dictionaries(st.text(min_size=1), finite, min_size=1), seed=st.integers(0, 2**64 - 1))
def test_an_evaluation_reads_back_from_its_line_to_the_same_bits(values: dict[str, float], seed: int) -> None:
    before = evaluation(values=values, seed=seed)
    after = Evaluation.from_json(json.loads(json.dumps(before.as_json(), allow_nan=False)))
    assert after.as_json() == before.as_json()


@given(st.lists(st.sampled_from([0, 1, 2, 9, 10, 255, 70_000]), min_size=1, max_size=12))
def test_a_genome_reads_back_from_its_line_whatever_its_levels(levels: list[int]) -> None:
    genome = np.array(levels)
    line = json.loads(json.dumps(evaluation(candidate=Candidate(0, genome, 0, "x")).as_json()))
    assert isinstance(line["genome"], str) == (max(levels) < 10)
    np.testing.assert_array_equal(Evaluation.from_json(line).candidate.genome, genome)


def test_a_genome_written_as_numbers_is_read_as_well() -> None:
    line = {**evaluation().as_json(), "genome": [1, 0, 2]}
    np.testing.assert_array_equal(Evaluation.from_json(line).candidate.genome, CANDIDATE.genome)


@pytest.mark.parametrize("wrong", ["01x", "", "1 0", "²1", [0.5, "a"], None])
def test_what_is_no_genome_is_refused(wrong: object) -> None:
    with pytest.raises(RunCorrupt, match="expected one evaluation"):
        Evaluation.from_json({**evaluation().as_json(), "genome": wrong})


def test_a_failure_reads_back_with_its_reason() -> None:
    failed = evaluation(status=Status.TIMEOUT, values={}, reason="not finished after 3 s")
    assert Evaluation.from_json(failed.as_json()).reason == "not finished after 3 s"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_ok_evaluation_refuses_values_that_cannot_be_ranked(value: float) -> None:
    with pytest.raises(ContractError, match="needs finite values"):
        evaluation(values={"error": value})


def test_a_failure_without_a_reason_is_refused() -> None:
    with pytest.raises(ContractError, match="has a reason and no values"):
        evaluation(status=Status.ERROR, values={})


def test_a_failure_with_values_is_refused() -> None:
    with pytest.raises(ContractError, match="has a reason and no values"):
        evaluation(status=Status.ERROR, reason="why")


@pytest.mark.parametrize("missing", ["genome", "status", "values", "ran", "split"])
def test_a_line_that_lacks_a_member_is_refused(missing: str) -> None:
    line = evaluation().as_json()
    del line[missing]
    with pytest.raises(RunCorrupt, match=missing):
        Evaluation.from_json(line)


def test_a_candidates_genome_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        CANDIDATE.genome[0] = 5


def test_a_genome_of_two_dimensions_is_refused() -> None:
    with pytest.raises(ContractError, match="expected a 1-D genome"):
        Candidate(0, np.zeros((2, 2), dtype=np.int64), 0, "initial")


def test_a_front_whose_arrays_differ_in_length_is_refused() -> None:
    with pytest.raises(ContractError, match="differ in length: 2, 1, 1"):
        Front(np.arange(2), np.zeros((1, 3), dtype=np.int64), np.zeros((1, 2)))


def test_a_generation_with_more_failures_than_evaluations_is_refused() -> None:
    none = Front(np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)))
    with pytest.raises(ContractError, match="5 failures of 4 evaluations"):
        Generation(0, none, none.ids, 0.0, evaluated=4, failed=5, born=4, seconds=0.0)


def test_progress_reads_back_and_ignores_members_of_a_newer_version() -> None:
    before = progress(alarms=("all fail",))
    assert Progress.from_json({**before.as_json(), "mood": "good"}) == before


@pytest.mark.parametrize("missing", ["state", "phase", "evaluated", "hypervolume", "updated"])
def test_a_status_that_lacks_a_member_is_refused_whatever_its_default(missing: str) -> None:
    plain = progress().as_json()
    del plain[missing]
    with pytest.raises(KeyError, match=missing):
        Progress.from_json(plain)


@pytest.mark.parametrize("missing", ["message", "stages", "alarms"])
def test_a_status_of_an_earlier_version_may_lack_what_came_later(missing: str) -> None:
    plain = progress().as_json()
    del plain[missing]
    assert Progress.from_json(plain) == progress()


def test_a_table_has_nan_where_nothing_was_measured() -> None:
    failed = evaluation(status=Status.ERROR, values={}, reason="why")
    values = table([evaluation(), failed], ["error", "macs"])
    np.testing.assert_array_equal(values, [[0.1, np.nan], [np.nan, np.nan]])
