"""Weights scored by their squares."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emoprune.contracts import about
from emoprune.problems.networks.layers.saliencies.contract import ScoredLayer


@about("pruning", ["weights"], serves=["weight-ratios"], cost="one pass over the weights")
@dataclass(frozen=True, slots=True)
class Squared:
    """The square of a weight, raised to a power.

    Args:
        power: Of the square.
    """

    power: float = 1.0

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return one score per weight."""
        return layer.weight.square() ** self.power
