"""Criteria that learn on the calibration images, and the flow through all layers, find units that nobody needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.learned.gates import learnt
from emoprune.problems.networks.criteria.learned.group_lasso import GroupLasso
from emoprune.problems.networks.criteria.learned.l0_gates import L0Gates
from emoprune.problems.networks.criteria.learned.soft_filters import SoftFilters
from emoprune.problems.networks.criteria.learned.variational_gates import VariationalGates
from emoprune.problems.networks.criteria.norms import L2
from emoprune.problems.networks.criteria.synflow import SynFlow
from emoprune.problems.networks.evaluation.scoring import LoadedImages

UNREAD = 2  # the first hidden unit that nothing reads


def evidence() -> Evidence:
    """Return a perceptron of two hidden layers that tells four corners apart, one unit of each of no use."""
    generator = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64) / 2)
        network[2].weight[:, UNREAD] = 0
    images = torch.randn((64, 4), generator=generator, dtype=torch.float64)
    labels = images.argmax(dim=1)
    structure = trace(network.float(), (4,))
    return Evidence(network.double(), structure, LoadedImages((images[:40], images[40:]), labels), 3)


@pytest.mark.parametrize("criterion", [SynFlow, lambda: L0Gates(steps=15), lambda: VariationalGates(steps=25)])
def test_a_unit_that_nothing_reads_ranks_last(criterion: Callable[[], Criterion]) -> None:
    scores = criterion()(evidence())[0]
    assert int(np.argmin(scores)) == UNREAD


@pytest.mark.parametrize("criterion", [lambda: GroupLasso(steps=30, rate=0.2), lambda: SoftFilters(rate=0.2)])
def test_training_leaves_a_useless_unit_below_those_that_it_was_among(criterion: Callable[[], Criterion]) -> None:
    own = evidence()
    # By its norm alone it is the most important one.
    own.network[0].weight.data[UNREAD] *= 1.2 * L2()(own)[0].max() / L2()(own)[0][UNREAD]  # type: ignore[index, union-attr, operator]
    assert int(np.argmax(L2()(own)[0])) == UNREAD
    trained = criterion()(own)[0]
    before = L2()(own)[0]
    assert (trained / before)[UNREAD] <= (trained / before).max() - 0.1


def test_a_unit_emptied_in_a_round_comes_back_if_the_loss_needs_it() -> None:
    own = evidence()
    scores = SoftFilters(share=0.5, rounds=3, steps=4, rate=0.5)(own)[0]
    assert (scores > 0).sum() > 3  # of 6 units 3 are emptied each time


def test_the_flow_is_the_same_measured_at_every_layer() -> None:
    own = evidence()
    first, second = (each / each.sum() for each in SynFlow()(own))
    assert first.sum() == pytest.approx(second.sum())
    raw = [each.sum() for each in SynFlow()(own)]
    assert raw[0] == pytest.approx(raw[1])  # conserved: what flows into the units of a layer flows out of them


def test_learning_gates_leaves_weights_without_a_gradient() -> None:
    own = evidence()
    gates = torch.ones(11, dtype=torch.float64, requires_grad=True)
    learnt(own, [gates], lambda _: gates * 1, lambda: gates.sum() * 0, steps=2, rate=0.1)
    assert all(parameter.grad is None for parameter in own.network.parameters())
    assert (gates != 1).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: L0Gates(steps=0),
        lambda: VariationalGates(rate=0),
        lambda: GroupLasso(penalty=-1),
        lambda: SoftFilters(share=1),
    ],
)
def test_options_out_of_range_are_refused_by_name(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"(l0-gates|variational-gates|group-lasso|soft-filters): expected"):
        make()
