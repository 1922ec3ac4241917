"""The weights that stay solved anew, so that each filter puts out what it put out with all of its weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.repairs.contract import Need, ThinnedLayer

__all__ = ["WeightsLeastSquares"]

SMALL = 1e-12  # of the first gradient's norm: solved


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios", "transformer-weight-ratios"],
    papers=[Paper("SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", "2301.00774")],
    cost="moments of the calibration data, and a solve for each layer and level",
)
class WeightsLeastSquares:
    """Every filter's remaining weights by least squares to its unpruned outputs, whatever the pattern of zeros.

    This is the row-wise reconstruction of which SparseGPT (Frantar and Alistarh, SparseGPT: Massive Language Models Can
    Be Accurately Pruned in One-Shot, arXiv 2301.00774) solves an approximation: conjugate gradients on all filters at
    once, each on its own zeros. A ridge draws weights towards what they were, so that the outputs are never further
    from the unpruned ones than without the repair, with few samples and singular moments, too.

    Args:
        ridge: As a share of each input's mean square.
        iterations: Of conjugate gradients at most; as many as a filter has weights are exact.
    """

    needs: ClassVar[tuple[Need, ...]] = ("moments",)

    def __init__(self, ridge: float = 1e-4, iterations: int = 100) -> None:
        if not (math.isfinite(ridge) and ridge >= 0) or iterations < 1:
            raise ConfigError(
                f"least-squares: expected a ridge of 0 or more and 1 or more iterations, found {ridge} and {iterations}"
            )
        self._ridge, self._iterations = ridge, iterations

    def __call__(self, layer: ThinnedLayer) -> torch.Tensor:
        """Return the solved weights."""
        kept = layer.kept.to(layer.weight.dtype)
        ridge = self._ridge * layer.moments.diagonal(dim1=1, dim2=2).unsqueeze(1)
        across = layer.moments if layer.across is None else layer.across
        wanted = layer.weight @ across.transpose(1, 2) + ridge * layer.weight

        def applied(weight: torch.Tensor) -> torch.Tensor:
            return (weight @ layer.moments + ridge * weight) * kept

        return _solved(applied, wanted * kept, layer.weight * kept, _curvature(layer, ridge), self._iterations)


def _curvature(layer: ThinnedLayer, ridge: torch.Tensor) -> torch.Tensor:
    diagonal = layer.moments.diagonal(dim1=1, dim2=2).unsqueeze(1) + ridge
    return torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal))


def _solved(
    applied: Callable[[torch.Tensor], torch.Tensor],
    wanted: torch.Tensor,
    start: torch.Tensor,
    curvature: torch.Tensor,
    iterations: int,
) -> torch.Tensor:
    """Return where conjugate gradients from `start` end, each filter's by itself."""
    weight, residual = start.clone(), wanted - applied(start)
    scaled = residual / curvature
    direction = scaled.clone()
    size = (residual * scaled).sum(dim=-1, keepdim=True)
    enough = SMALL**2 * size
    for _ in range(iterations):
        if bool((size <= enough).all()):
            break
        image = applied(direction)
        bend = (direction * image).sum(dim=-1, keepdim=True)
        # Where there is no curvature there is nothing to gain: a channel that is always zero.
        step = torch.where((bend > 0) & (size > enough), size / bend, torch.zeros_like(size))
        weight += step * direction
        residual -= step * image
        scaled = residual / curvature
        new = (residual * scaled).sum(dim=-1, keepdim=True)
        direction = scaled + torch.where(size > 0, new / size, torch.zeros_like(size)) * direction
        size = new
    return weight
