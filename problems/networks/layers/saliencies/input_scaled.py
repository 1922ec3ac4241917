"""Weights scored by their size and by how much flows into them."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer

__all__ = ["InputScaled"]


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios", "transformer-weight-ratios"],
    papers=[Paper("A Simple and Effective Pruning Approach for Large Language Models", "2306.11695")],
    cost="one pass over the calibration data",
)
class InputScaled:
    """The absolute weight times the L2 norm of the channel that it reads; convolutions too.

    Source: Wanda, Sun et al., A Simple and Effective Pruning Approach for Large Language Models, arXiv 2306.11695.
    """

    needs: ClassVar[tuple[Need, ...]] = ("norms",)

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return |weight| x norm."""
        return layer.weight.abs() * layer.norms
