"""Training towards the labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from emoprune.contracts import about
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.recover import best_of

__all__ = ["Finetune"]


@about(
    "recovery",
    ["network"],
    serves=("channels", "subnetworks", "weight-ratios"),
    cost="a training of so many epochs",
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class Finetune:
    """Train a pruned network towards the labels."""

    def __call__(self, case: NetworkCase) -> nn.Module:
        """Return the network with the weights that were best on `select`, those before the first step included.

        Raises:
            ConfigError: The training diverged.
        """
        images = TrainingImages.load(case.training, case.bench.device)
        return best_of(case, images, None, "recovery by finetune")
