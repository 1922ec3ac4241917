"""Parameter-free differentiable pruning: each weight against the threshold that its layer's ratio means."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.masks.contract import Own, largest

__all__ = ["Pdp"]


@about(
    "recovery",
    ["weights", "channels", "heads", "neurons"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("PDP: Parameter-free Differentiable Pruning is All You Need", "2305.11203")],
    gradients=True,
    training=True,
    cost="sorting the weights at each step; no parameters",
)
@dataclass(frozen=True, slots=True)
class Pdp:
    """sigmoid((w² - t²) / temperature), t between the smallest that stays and the largest that goes.

    Nothing is added to the network: the mask follows from the weights; gradients flow through it, but not through t.
    Source: Cho et al., PDP: Parameter-free Differentiable Pruning is All You Need, arXiv 2305.11203.

    Args:
        temperature: In shares of the mean square of the layer's weights, so that it fits networks of any scale.
        ramp: The share of the training after which the candidate's ratio is reached.

    Raises:
        ConfigError: One of them is out of range.
    """

    temperature: float = 0.1
    ramp: float = 0.5

    rate = 0.0
    trains_weights = True

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf") or not 0 < self.ramp <= 1:
            raise ConfigError("temperature: expected a number above 0; ramp: a share of the training above 0, up to 1")

    def begin(self, sizes: torch.Tensor) -> Own:  # noqa: ARG002  # the contract's
        """Return no parameters."""
        return {}

    def soft(
        self,
        sizes: torch.Tensor,
        own: Own,  # noqa: ARG002  # the contract's
        keep: int,
        progress: float,
        generator: torch.Generator,  # noqa: ARG002  # the contract's
    ) -> torch.Tensor:
        """Return the mask at the ratio that is due by now."""
        columns = sizes.shape[-1]
        due = columns - round((columns - keep) * min(1.0, progress / self.ramp))
        if due == columns:
            return torch.ones_like(sizes)
        falling = sizes.detach().sort(dim=-1, descending=True).values
        squared = ((falling[..., due - 1 : due] + falling[..., due : due + 1]) / 2).square()
        scale = self.temperature * sizes.detach().square().mean(dim=-1, keepdim=True)
        return torch.sigmoid((sizes.square() - squared) / scale)

    def penalty(self, own: Own, keep: int, columns: int, progress: float) -> float:  # noqa: ARG002  # the contract's
        """Return nothing."""
        return 0.0

    def hard(self, sizes: torch.Tensor, own: Own, keep: int) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return where the largest are."""
        return largest(sizes, keep)
