"""Training towards the labels and the outputs of the unpruned network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from emoprune.contracts import Paper, about
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.recover import best_of
from emoprune.problems.networks.recovery.targets import Distilled, check_distilling

__all__ = ["Distil"]


@about(
    "recovery",
    ["network"],
    serves=("channels", "subnetworks", "weight-ratios"),
    cost="a training of so many epochs, and the unpruned network's outputs",
    papers=[Paper("Distilling the Knowledge in a Neural Network", "1503.02531")],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class Distil:
    """Train a pruned network towards the labels and the unpruned network's softened outputs.

    Source: Distilling the Knowledge in a Neural Network, arXiv 1503.02531.

    Args:
        temperature: How soft the unpruned network's probabilities are made.
        weight: Their share of the loss, from 0 to 1.

    Raises:
        ConfigError: One of them is out of range.
    """

    temperature: float = 4.0
    weight: float = 0.9

    def __post_init__(self) -> None:
        check_distilling(self.temperature, self.weight)

    def __call__(self, case: NetworkCase) -> nn.Module:
        """Return the network with the weights that were best on `select`, those before the first step included.

        Raises:
            ConfigError: The training diverged.
        """
        images, varied = TrainingImages.load(case.training, case.bench.device), case.plan.flips or case.plan.shift > 0
        target = Distilled.by(
            case.bench.network, images.images, varied=varied, temperature=self.temperature, weight=self.weight
        )
        return best_of(case, images, target, "recovery by distil")
