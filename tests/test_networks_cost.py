"""Costs are exact: torch itself counts the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_for_tests import INPUT, architecture_of, network, tensors_of
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from emoprune.problems.networks.architecture import build
from emoprune.problems.networks.cost import Cost, count
from emoprune.problems.networks.digits_network import digits_network
from emoprune.problems.networks.slicing import slice_network

widths_of_network = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 7))


def flops_of(made: nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made(torch.zeros(1, *shape, dtype=torch.float64))
    return int(counter.get_total_flops())


def sliced(widths: tuple[int, ...]) -> nn.Sequential:
    kept = [np.arange(width) for width in widths]
    return build(*slice_network(architecture_of(network()), tensors_of(network()), kept))


@given(widths_of_network)
@settings(max_examples=25, deadline=None)  # each builds and runs a network; torch warms up in the first
def test_macs_are_half_of_the_flops_that_torch_counts(widths: tuple[int, ...]) -> None:
    counted = count(Cost.MACS, architecture_of(network()), np.array([widths]))
    assert counted.tolist() == [flops_of(sliced(widths), INPUT) // 2]


@given(widths_of_network)
@settings(max_examples=25, deadline=None)  # as above
def test_parameters_are_what_the_sliced_network_holds(widths: tuple[int, ...]) -> None:
    counted = count(Cost.PARAMETERS, architecture_of(network()), np.array([widths]))
    assert counted.tolist() == [sum(parameter.numel() for parameter in sliced(widths).parameters())]


def test_many_widths_at_once_cost_what_each_costs_alone() -> None:
    rows = np.random.default_rng(1).integers(1, (7, 10, 8), (50, 3))
    architecture = architecture_of(network())
    for cost in Cost:
        alone = [int(count(cost, architecture, row[np.newaxis])[0]) for row in rows]
        assert count(cost, architecture, rows).tolist() == alone


@pytest.mark.parametrize("cost", list(Cost))
def test_the_built_in_network_costs_what_torch_counts(cost: Cost) -> None:
    made = digits_network().double().eval()
    by_torch = {
        Cost.MACS: flops_of(made, (1, 8, 8)) // 2,
        Cost.PARAMETERS: sum(parameter.numel() for parameter in made.parameters()),
    }
    architecture = architecture_of(made, (1, 8, 8))
    assert count(cost, architecture, np.array([architecture.widths])).tolist() == [by_torch[cost]]
