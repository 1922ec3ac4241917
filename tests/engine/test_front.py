"""Front: dominance and hypervolume against their definitions, the reference point, the knee."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from strategies import generators

from emoprune.contracts import LARGEST
from emoprune.errors import ContractError
from emoprune.front import FloatArray, attainment, hypervolume, knee, non_dominated, reference_point

GRID = 4  # values are whole numbers below this, so that there are ties, and volumes can be counted in unit cells


def rows(least: int = 0, objectives: tuple[int, int] = (1, 4)) -> st.SearchStrategy[FloatArray]:
    shapes = st.tuples(st.integers(least, 12), st.integers(*objectives))
    return shapes.flatmap(lambda shape: arrays.arrays(np.float64, shape, elements=st.integers(0, GRID - 1).map(float)))


def dominates(first: list[float], second: list[float]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(rows())
def test_the_front_is_what_nothing_dominates_and_the_first_of_equals(values: FloatArray) -> None:
    plain = values.tolist()
    expected = [
        not any(dominates(other, row) for other in plain) and row not in plain[:place]
        for place, row in enumerate(plain)
    ]
    assert non_dominated(values).tolist() == expected


@given(rows(), generators)
def test_the_front_holds_the_same_values_in_any_order(values: FloatArray, rng: np.random.Generator) -> None:
    shuffled = rng.permutation(values)
    fronts = [sorted(array[non_dominated(array)].tolist()) for array in (values, shuffled)]
    assert fronts[0] == fronts[1]


@given(rows())
def test_hypervolume_counts_the_dominated_unit_cells_below_the_point(values: FloatArray) -> None:
    point = np.full(values.shape[1], GRID - 1.0)
    cells = np.indices((GRID - 1,) * values.shape[1]).reshape(values.shape[1], -1).T
    dominated = (values[:, None, :] <= cells[None, :, :]).all(axis=2).any(axis=0)
    assert hypervolume(values, point) == pytest.approx(dominated.sum(), rel=1e-12)  # sums of products of floats


@given(rows(least=1))
def test_dominated_rows_add_no_hypervolume(values: FloatArray) -> None:
    point = np.full(values.shape[1], float(GRID))
    front = values[non_dominated(values)]
    assert hypervolume(values, point) == pytest.approx(hypervolume(front, point), rel=1e-12)  # another order of sums


def test_rows_beyond_the_point_add_no_hypervolume() -> None:
    point = np.array([2.0, 2.0])
    assert hypervolume(np.array([[2.0, 0.0], [0.0, 3.0]]), point) == 0.0
    assert hypervolume(np.array([[1.0, 1.0], [0.0, 2.0]]), point) == 1.0
    assert hypervolume(np.zeros((0, 2)), point) == 0.0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 8])
def test_the_largest_numbers_that_count_have_a_finite_hypervolume(objectives: int) -> None:
    values = np.full((2, objectives), -LARGEST)
    values[1, 0] = LARGEST
    point = reference_point(values, values)
    assert np.isfinite(point).all()
    assert 0 < hypervolume(values, point) <= sys.float_info.max


def test_the_reference_point_lies_beyond_the_worst_reference_by_a_tenth_of_the_spread() -> None:
    references = np.array([[0.0, 100.0], [0.5, 50.0]])
    assert reference_point(references, np.array([[9.0, 900.0]])) == pytest.approx([0.55, 105.0])


def test_generation_0_gives_the_spread_where_references_agree() -> None:
    references = np.array([[0.2, 100.0]])
    first = np.array([[0.1, 40.0], [0.6, 60.0]])
    assert reference_point(references, first) == pytest.approx([0.6 + 0.05, 100.0 + 6.0])


def test_without_references_generation_0_gives_the_point() -> None:
    first = np.array([[0.0, 10.0], [1.0, 20.0]])
    assert reference_point(np.zeros((0, 2)), first) == pytest.approx([1.1, 21.0])


@given(rows(least=1), rows(least=1), st.floats(0.01, 1.0))
def test_the_reference_point_is_worse_than_every_reference(values: FloatArray, more: FloatArray, margin: float) -> None:
    first = np.resize(more, (len(more), values.shape[1]))
    assert (reference_point(values, first, margin) > values).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 1.0], [0.1, 0.1], [1.0, 0.0]], 1),
        ([[0.0, 1000.0], [0.4, 900.0], [0.5, 100.0], [1.0, 0.0]], 2),  # scales do not matter
        ([[0.0, 1.0], [0.2, 0.3], [0.3, 0.2], [1.0, 0.0]], 1),  # of equals the first
        ([[3.0, 7.0]], 0),
        ([[0.0, 5.0], [1.0, 5.0]], 0),  # an objective without a spread does not count
    ],
)
def test_the_knee_bulges_furthest_from_the_line_between_the_extremes(values: list[list[float]], expected: int) -> None:
    assert knee(np.array(values)) == expected


@given(rows(least=1))
def test_the_knee_of_a_front_stays_when_units_change(values: FloatArray) -> None:
    front = values[non_dominated(values)]
    assert knee(front * 1024.0 + 8.0) == knee(front)


def test_an_empty_front_has_no_knee() -> None:
    with pytest.raises(ContractError, match="expected a front of at least one row, found none"):
        knee(np.zeros((0, 2)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("measure", [non_dominated, knee, lambda values: hypervolume(values, np.ones(2))])
def test_what_is_not_finite_is_never_ranked(measure: Callable[[FloatArray], object], wrong: float) -> None:
    with pytest.raises(ContractError, match="NaN and infinities cannot be ranked"):
        measure(np.array([[0.0, wrong]]))


def test_objectives_need_two_axes() -> None:
    with pytest.raises(ContractError, match=r"expected shape \(n, objectives\), found \(3,\)"):
        non_dominated(np.zeros(3))


@given(st.lists(rows(1, (2, 3)), min_size=1, max_size=4), st.data())
def test_a_surface_is_attained_by_so_many_fronts_and_no_point_of_it_dominates_another(
    fronts: list[FloatArray], data: st.DataObject
) -> None:
    fronts = [front for front in fronts if front.shape[1] == fronts[0].shape[1]]
    share = data.draw(st.floats(0, 1))
    (surface,) = attainment(fronts, [share])
    wanted = max(1, math.ceil(share * len(fronts)))
    for row in surface:
        assert sum((front <= row).all(axis=1).any() for front in fronts) >= wanted
    assert non_dominated(surface).all()
