"""Weights scored by their size."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import about
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer

__all__ = ["Magnitude"]


@about("pruning", ["weights"], serves=["weight-ratios", "transformer-weight-ratios"], cost="one pass over the weights")
class Magnitude:
    """The absolute weight."""

    needs: ClassVar[tuple[Need, ...]] = ()

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return |weight|."""
        return layer.weight.abs()
