"""Weights scored at random."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import about
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer

__all__ = ["RandomScores"]


@about("pruning", ["weights"], serves=["weight-ratios", "transformer-weight-ratios"], cost="none")
class RandomScores:
    """Random numbers from 0 to 1: what any other saliency has to beat."""

    needs: ClassVar[tuple[Need, ...]] = ()

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return numbers drawn from the layer's generator."""
        return torch.rand(layer.weight.shape, generator=layer.generator)
