"""The PQ index: its range, what it does not depend on, and which weights of a network count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from zoo_for_tests import zoo

from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.sparsity_index import pq_index, pq_index_of

norms = st.tuples(st.floats(0.2, 1.0), st.floats(0.1, 2.0)).map(lambda pair: (pair[0], pair[0] + pair[1]))
sizes = st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3) | st.just(0.0)
vectors = st.lists(sizes, min_size=1, max_size=60).map(np.array)


def bound(count: int, p: float, q: float) -> float:
    return 1 - count ** (1 / q - 1 / p)


@given(vectors, norms, st.floats(1e-200, 1e200))
def test_the_index_does_not_depend_on_the_scale_or_the_signs_of_the_weights(
    weights: NDArray[np.float64], norm: tuple[float, float], scale: float
) -> None:
    assert pq_index(weights * scale, *norm) == pytest.approx(pq_index(weights, *norm), abs=1e-12)
    assert pq_index(-weights, *norm) == pq_index(weights, *norm)


@given(vectors, norms)
def test_the_index_lies_between_zero_and_its_bound(weights: NDArray[np.float64], norm: tuple[float, float]) -> None:
    assert 0 <= pq_index(weights, *norm) <= bound(len(weights), *norm)


@given(sizes.filter(bool), st.integers(1, 60), norms)
def test_weights_of_one_size_have_index_zero(size: float, count: int, norm: tuple[float, float]) -> None:
    assert pq_index(np.full(count, size), *norm) == pytest.approx(0, abs=1e-12)


@given(st.integers(1, 60), st.floats(1e-3, 1e3), norms)
def test_one_weight_among_zeros_reaches_the_bound(count: int, size: float, norm: tuple[float, float]) -> None:
    weights = np.zeros(count)
    weights[count // 2] = size
    assert pq_index(weights, *norm) == pytest.approx(bound(count, *norm), abs=1e-12)


@given(vectors, norms)
def test_the_order_of_the_weights_and_their_shape_do_not_matter(
    weights: NDArray[np.float64], norm: tuple[float, float]
) -> None:
    assert pq_index(np.sort(weights)[np.newaxis], *norm) == pytest.approx(pq_index(weights, *norm), abs=1e-12)


@given(vectors, st.integers(2, 5), norms)
def test_repeating_all_weights_leaves_the_index_as_it_is(
    weights: NDArray[np.float64], times: int, norm: tuple[float, float]
) -> None:
    assert pq_index(np.tile(weights, times), *norm) == pytest.approx(pq_index(weights, *norm), abs=1e-12)


def test_the_index_is_the_published_formula() -> None:
    weights = np.array([3.0, -4.0])
    assert pq_index(weights, 1, 2) == pytest.approx(1 - 2**-0.5 * 7 / 5)
    assert pq_index(weights, 0.5, 1) == pytest.approx(1 - 0.5 * (3**0.5 + 2) ** 2 / 7)


def test_no_weights_and_only_zeros_have_index_zero() -> None:
    assert pq_index(np.empty(0)) == 0
    assert pq_index(np.zeros(7)) == 0
    assert pq_index(np.ones(3), remaining=np.zeros(3, dtype=np.bool_)) == 0


def test_only_the_weights_that_are_not_pruned_away_are_counted() -> None:
    weights = np.array([[1.0, 5.0, 0.0], [9.0, 0.0, 0.0]])
    remaining = np.array([[True, True, True], [False, False, False]])
    assert pq_index(weights, remaining=remaining) == pq_index(np.array([1.0, 5.0, 0.0]))
    assert pq_index(weights, remaining=weights != 0) == pq_index(np.array([1.0, 5.0, 9.0]))


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_norms_that_make_no_index_are_refused(p: float, q: float) -> None:
    with pytest.raises(ConfigError, match="expected 0 < p < q, found p = "):
        pq_index(np.ones(3), p, q)
    with pytest.raises(ConfigError, match="expected 0 < p < q, found p = "):
        pq_index_of(nn.Linear(2, 2), p, q)


def test_a_networks_index_is_over_all_its_weights_together_without_biases_and_norms() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        network[0].bias.fill_(100.0)
        network[2].weight.copy_(torch.tensor([[50.0, -60.0]]))
    together = np.array([1.0, 2.0, 3.0, 4.0, 50.0, 60.0])
    assert pq_index_of(network) == pytest.approx(pq_index(together))


def test_weights_that_are_zero_count_as_pruned_away_in_a_network() -> None:
    network = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 4.0]]))
    assert pq_index_of(network) == pytest.approx(pq_index(np.array([1.0, 2.0, 4.0])))


def test_a_network_without_weights_has_index_zero() -> None:
    assert pq_index_of(nn.BatchNorm1d(3)) == 0


def test_pruning_the_smallest_weights_evens_out_what_remains() -> None:
    network = zoo("vgg")
    before = pq_index_of(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("weight") and parameter.dim() > 1:
                parameter[parameter.abs() < parameter.abs().median()] = 0
    assert 0 < pq_index_of(network) < before
