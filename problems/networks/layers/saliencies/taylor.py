"""Weights scored by what the loss would change without them."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer

__all__ = ["Taylor"]


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios", "transformer-weight-ratios"],
    papers=[Paper("Importance Estimation for Neural Network Pruning", "1906.10771")],
    gradients=True,
    cost="one pass forwards and backwards over the calibration data",
)
class Taylor:
    """The absolute first-order change of the calibration loss without a weight.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, arXiv 1906.10771.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradient",)

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return |weight x gradient|."""
        return (layer.weight * layer.gradient).abs()
