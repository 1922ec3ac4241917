"""The weights that stay moved so that the gradients of single samples say the same of them, noise smoothed away."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.wasserstein import EntropicRegression
from emoprune.problems.networks.layers.repairs.contract import Need, ThinnedLayer

__all__ = ["SwapUpdate"]


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios"],
    papers=[Paper("SWAP: Sparse Entropic Wasserstein Regression for Robust Network Pruning", "2310.04918")],
    gradients=True,
    cost="gradients of single calibration samples, and some products with them for each layer and level",
)
class SwapUpdate:
    """Exact steps of entropic Wasserstein regression on the weights that stay, layer by layer.

    What the gradients of single samples g_i say of the unpruned weights, g_i w0, is matched by the others, samples
    being mixed by optimal transport. Source: SWAP: Sparse Entropic Wasserstein Regression for Robust Network Pruning,
    arXiv 2310.04918.

    Args:
        entropy: Of the transport between samples, in shares of the mean cost; 0 is linear regression.
        damping: How near weights stay to what they were, in shares of the gradients' mean square.
        steps: How many.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)

    def __init__(self, entropy: float = 2.0, damping: float = 1.0, steps: int = 20) -> None:
        if not entropy >= 0 or damping < 0 or steps < 1:
            raise ConfigError("swap: expected entropy and damping of 0 or more and steps of 1 or more")
        self._entropy, self._damping, self._steps = entropy, damping, steps

    def __call__(self, layer: ThinnedLayer) -> torch.Tensor:
        """Return the moved weights; those of before where no gradient is known."""
        start = layer.weight * layer.kept
        if layer.gradients is None:
            return start
        gradients = layer.gradients.flatten(1)
        # Of one weight, because |w - w0| is a sum over weights and g (w - w0) is one number.
        damping = self._damping * float(gradients.square().mean())
        regression = EntropicRegression(gradients, layer.weight.flatten(), self._entropy, damping)
        return regression.moved(start.flatten(), layer.kept.flatten(), self._steps).reshape(layer.weight.shape)
