"""Weights by what the loss would rise without them, by the curvature of what is left, in stages."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.inverse_fisher import (
    InverseFisher,
    blocked,
    check_curvature,
    jointly_moved,
)
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer
from emoprune.problems.networks.layers.saliencies.gradual import in_stages

__all__ = ["MFACWeights"]


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios"],
    papers=[Paper("M-FAC: Efficient Matrix-Free Approximations of Second-Order Information", "2107.03356")],
    gradients=True,
    cost="gradients of small batches of the calibration images, and an inverse for each block and stage",
)
class MFACWeights:
    """w^2 / (2 [F^-1]) of each weight, in stages: those that stay are moved and F is inverted anew without the others.

    F is the empirical Fisher matrix of the layer's gradients in blocks, plus a damping. Source: Frantar, Kurtic and
    Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, arXiv 2107.03356, there with 16
    recomputations; gradients are those of the unpruned network.

    Args:
        block: The most weights of one block.
        damping: What is added to the Fisher matrix's diagonal.
        stages: How often F is inverted anew.
        least: The share of a layer's weights that the last stage leaves.
    """

    needs: ClassVar[tuple[Need, ...]] = ("sample_gradients",)

    def __init__(self, block: int = 128, damping: float = 1e-5, stages: int = 8, least: float = 0.02) -> None:
        check_curvature(1, block, damping)
        if stages < 1 or not 0 < least < 1:
            raise ConfigError(f"mfac: expected stages of 1 or more and least between 0 and 1, found {stages}, {least}")
        self._block, self._damping, self._stages, self._least = block, damping, stages, least

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return in which stage a weight goes, and what it would cost among those of its stage."""
        weight = layer.weight.flatten().double()
        rows = layer.sample_gradients.flatten(1).double().numpy()
        gradients = torch.from_numpy(blocked(rows, self._block)).transpose(0, 1).contiguous()

        def cut(values: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(blocked(values.double().numpy(), self._block))

        def joined(values: torch.Tensor) -> torch.Tensor:
            return values.flatten()[: len(weight)]

        def step(now: torch.Tensor, left: torch.Tensor, staying: int) -> tuple[torch.Tensor, torch.Tensor]:
            own, there = cut(now), cut(left)
            among = gradients * there.unsqueeze(1)
            diagonal = torch.from_numpy(InverseFisher(among.numpy(), self._damping).diagonal)
            cost = joined(own.square() / (2 * diagonal))
            order = torch.argsort(torch.where(left, cost, -1.0), descending=True, stable=True)
            going = left.clone()
            going[order[:staying]] = False
            moved = joined(jointly_moved(among, own, cut(going), self._damping))
            return cost, torch.where(going | ~left, now, moved)

        return in_stages(weight, self._stages, self._least, step).reshape(layer.weight.shape)
