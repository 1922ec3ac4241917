"""A recovery without training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from emoprune.contracts import about
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.copying import trainable


@about("recovery", ["network"], serves=["channels"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Rescaled:
    """Make all biases smaller or larger.

    Args:
        factor: By how much.
    """

    factor: float = 1.0

    def __call__(self, case: NetworkCase) -> nn.Module:
        """Return a network in eval mode whose biases are multiplied."""
        network = trainable(case.network)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.mul_(self.factor)
        return network.requires_grad_(requires_grad=False).eval()
