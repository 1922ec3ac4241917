"""What a plug-in promises: records that check themselves, signs, violations, and failures that always have a reason."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.contracts import LARGEST, Constraint, Direction, Failure, Objective, Sense, as_minimised, violations
from emoprune.errors import ContractError

numbers = st.floats(-LARGEST, LARGEST)


@pytest.mark.parametrize(
    ("reason", "said"),
    [("no data", "no data"), ("  no data\n", "no data"), ("", "the problem gives no reason"), (7, "7")],
)
def test_a_failure_always_has_a_reason(reason: str, said: str) -> None:
    assert Failure(reason).reason == said


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1.1e100])
def test_a_bound_or_worst_value_that_could_not_be_measured_is_refused(number: float) -> None:
    with pytest.raises(ContractError, match=r"the bound must be within 1e\+100"):
        Constraint("size", bound=number)
    with pytest.raises(ContractError, match=r"worst must be within 1e\+100"):
        Objective("size", worst=number)


@given(st.lists(numbers, min_size=2, max_size=2))
def test_minimising_twice_gives_the_values_back(values: list[float]) -> None:
    objectives = [Objective("less"), Objective("more", Direction.MAXIMISE)]
    assert as_minimised(as_minimised(np.array(values), objectives), objectives).tolist() == values


@given(numbers, numbers)
def test_a_violation_is_finite_and_zero_exactly_where_the_constraint_holds(value: float, bound: float) -> None:
    constraints = [Constraint("most", bound), Constraint("least", bound, sense=Sense.AT_LEAST)]
    found = violations(np.array([[value, value]]), constraints)
    assert np.isfinite(found).all()
    assert (found[0] == 0).tolist() == [value <= bound, value >= bound]


def test_a_violation_is_relative_to_the_bound() -> None:
    constraints = [Constraint("size", 10.0), Constraint("share", 0.5, sense=Sense.AT_LEAST), Constraint("left", 0.0)]
    assert violations(np.array([[15.0, 0.25, 3.0], [10.0, 0.5, 0.0]]), constraints).tolist() == [
        [0.5, 0.5, 3.0],
        [0.0, 0.0, 0.0],
    ]
