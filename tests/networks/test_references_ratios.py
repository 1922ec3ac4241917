"""Ratios of layers: hand-computed examples, and that what was asked for is what stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import ContractError
from emoprune.problems.networks.channels.references.ratios import (
    balanced_densities,
    erk_densities,
    erk_preferences,
    kept_share_of_pq,
    pyramidal_densities,
)

shapes = st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64), st.integers(1, 5)), min_size=1, max_size=8)
densities = st.floats(0.001, 1.0)

# A convolution of 1 to 4 channels, one of 4 to 8, both 3 x 3, and a linear layer of 8 to 10.
SIZES, DIMENSIONS = [36, 288, 80], [11, 18, 18]


def counted(drawn: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [outgoing * incoming * kernel**2 for outgoing, incoming, kernel in drawn]
    return np.array(sizes), np.array([outgoing + incoming + 2 * kernel for outgoing, incoming, kernel in drawn])


def test_erk_densities_are_proportional_to_dimensions_over_weights() -> None:
    scale = 0.1 * 404 / (11 + 18 + 18)
    expected = [scale * 11 / 36, scale * 18 / 288, scale * 18 / 80]
    assert erk_densities(SIZES, DIMENSIONS, 0.1).tolist() == pytest.approx(expected, rel=1e-12)


def test_erk_gives_what_dense_layers_cannot_take_to_the_others() -> None:
    # 202 weights stay; proportionally the first layer would keep 1.31 of itself, and without it the last 1.04.
    assert erk_densities(SIZES, DIMENSIONS, 0.5).tolist() == pytest.approx([1, (202 - 36 - 80) / 288, 1], rel=1e-12)


@given(shapes, densities)
def test_erk_keeps_exactly_the_density_asked_for_and_no_layer_more_than_all(
    drawn: list[tuple[int, int, int]], density: float
) -> None:
    sizes, dimensions = counted(drawn)
    found = erk_densities(sizes, dimensions, density)
    assert sizes @ found == pytest.approx(density * sizes.sum(), rel=1e-9)
    assert ((found > 0) & (found <= 1)).all()
    sparse = found < 1
    scales = found[sparse] / erk_preferences(sizes, dimensions)[sparse]
    assert np.allclose(scales, scales[:1].repeat(len(scales)), rtol=1e-9)


@given(shapes, densities)
def test_pyramidal_densities_are_powers_of_one_number_and_keep_the_density_asked_for(
    drawn: list[tuple[int, int, int]], density: float
) -> None:
    sizes, _ = counted(drawn)
    found = pyramidal_densities(sizes, density)
    assert sizes @ found == pytest.approx(density * sizes.sum(), rel=1e-6)
    assert found.tolist() == pytest.approx([found[0] ** depth for depth in range(1, len(sizes) + 1)])


def test_pyramidal_densities_of_two_equal_layers_solve_a_quadratic_equation() -> None:
    assert pyramidal_densities([100, 100], 0.375).tolist() == pytest.approx([0.5, 0.25], rel=1e-12)


def test_a_pyramid_of_density_one_is_dense() -> None:
    assert pyramidal_densities([10, 200, 3], 1.0).tolist() == [1, 1, 1]


@given(shapes, densities)
def test_balanced_layers_keep_as_many_weights_each_or_all_they_have(
    drawn: list[tuple[int, int, int]], density: float
) -> None:
    sizes, _ = counted(drawn)
    found = balanced_densities(sizes, density)
    evenly = density * sizes.sum() / len(sizes)
    assert (sizes * found).tolist() == pytest.approx(np.minimum(sizes, evenly).tolist(), rel=1e-9)


def test_balanced_layers_keep_the_density_asked_for_if_none_is_too_small() -> None:
    found = balanced_densities(SIZES, 0.2)
    assert np.dot(SIZES, found) == pytest.approx(0.2 * 404, rel=1e-12)


def test_balanced_layers_keep_less_than_was_asked_for_if_one_is_too_small() -> None:
    found = balanced_densities(SIZES, 0.5)
    assert found.tolist() == pytest.approx([1, 202 / 3 / 288, 202 / 3 / 80])
    assert np.dot(SIZES, found) == pytest.approx(36 + 2 * 202 / 3)
    assert np.dot(SIZES, found) < 0.5 * 404


@pytest.mark.parametrize("density", [0.0, 1.01, -0.5, float("nan")])
def test_a_density_outside_its_range_is_refused(density: float) -> None:
    for make in (balanced_densities, pyramidal_densities):
        with pytest.raises(ContractError, match="expected a share above 0 and at most 1, found"):
            make(SIZES, density)
    with pytest.raises(ContractError, match="expected a share above 0 and at most 1, found"):
        erk_densities(SIZES, DIMENSIONS, density)


def test_a_layer_without_weights_is_refused() -> None:
    with pytest.raises(ContractError, match="each with weights, found"):
        pyramidal_densities([3, 0], 0.5)
    with pytest.raises(ContractError, match="at least one layer"):
        balanced_densities([], 0.5)


@pytest.mark.parametrize(
    ("index", "count", "p", "q", "kept"),
    [(0.3, 10, 0.5, 1.0, 0.7), (0.35, 10, 0.5, 1.0, 0.7), (0.5, 100, 1.0, 2.0, 0.25), (0.0, 9, 1.0, 2.0, 1.0)],
)
def test_pq_keeps_the_share_that_the_index_says_must_stay(
    index: float, count: int, p: float, q: float, kept: float
) -> None:
    assert kept_share_of_pq(index, count, p, q) == pytest.approx(kept)


def test_pq_never_takes_more_than_beta_in_one_round() -> None:
    assert kept_share_of_pq(0.999, 1000, 0.5, 1.0) == pytest.approx(0.1)
    assert kept_share_of_pq(0.999, 1000, 0.5, 1.0, beta=0.5) == pytest.approx(0.5)


def test_pq_takes_gamma_times_as_much_and_more_with_a_tolerance_eta() -> None:
    assert kept_share_of_pq(0.3, 10, 0.5, 1.0, gamma=2.0) == pytest.approx(0.4)
    assert kept_share_of_pq(0.0, 100, 0.5, 1.0, eta=1.0) == pytest.approx(0.25)  # (1 + eta) ** -(1 / 0.5)


def test_pq_leaves_a_layer_without_weights_alone() -> None:
    assert kept_share_of_pq(0.0, 0, 0.5, 1.0) == 1
