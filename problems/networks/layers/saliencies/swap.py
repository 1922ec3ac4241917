"""Weights by their size in a sparse regression that mixes what samples near each other say."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.wasserstein import EntropicRegression
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer
from emoprune.problems.networks.layers.saliencies.gradual import in_stages

__all__ = ["Swap"]


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios"],
    papers=[Paper("SWAP: Sparse Entropic Wasserstein Regression for Robust Network Pruning", "2310.04918")],
    gradients=True,
    cost="gradients of single calibration samples, and some products with them for each stage",
)
class Swap:
    """The size of a weight after hard-thresholded steps of entropic Wasserstein regression, in stages.

    The regression keeps what the gradients of single samples say of the unpruned weights; its entropy mixes samples, so
    that noisy ones count for less: 0 is the pruner by linear regression, infinity mixes all alike. Layer by layer.
    Source: SWAP: Sparse Entropic Wasserstein Regression for Robust Network Pruning, arXiv 2310.04918.

    Args:
        entropy: Of the transport between samples, in shares of the mean cost.
        damping: How near weights stay to what they were.
        stages: In how many stages weights go.
        steps: In each stage.
        least: The share of a layer's weights that the last stage leaves.
    """

    needs: ClassVar[tuple[Need, ...]] = ("sample_gradients",)

    def __init__(
        self, entropy: float = 2.0, damping: float = 1e-3, stages: int = 10, steps: int = 3, least: float = 0.02
    ) -> None:
        if not entropy >= 0 or damping < 0 or stages < 1 or steps < 1 or not 0 < least < 1:
            raise ConfigError(
                "swap: expected entropy and damping of 0 or more, stages and steps of 1 or more, least between 0 and 1"
            )
        self._entropy, self._damping = entropy, damping
        self._stages, self._steps, self._least = stages, steps, least

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return in which stage a weight goes, and how large it was among those of its stage."""
        weight = layer.weight.flatten().double()
        gradients = layer.sample_gradients.flatten(1).double()
        regression = EntropicRegression(gradients, weight, self._entropy, self._damping)

        def step(now: torch.Tensor, left: torch.Tensor, _staying: int) -> tuple[torch.Tensor, torch.Tensor]:
            moved = regression.moved(now, left, self._steps)
            return moved.abs(), moved

        return in_stages(weight, self._stages, self._least, step).reshape(layer.weight.shape)
