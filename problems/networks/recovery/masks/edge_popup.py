"""Edge-popup: scores say which weights pass; gradients pass straight through to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.masks.contract import Own, largest

__all__ = ["EdgePopup"]


@about(
    "recovery",
    ["weights", "channels", "heads", "neurons"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("What's Hidden in a Randomly Weighted Neural Network?", "1911.13299")],
    gradients=True,
    training=True,
    cost="a score for each thing that is masked, and sorting them at each step",
)
@dataclass(frozen=True, slots=True)
class EdgePopup:
    """The things with the highest scores pass whole, the others not at all; scores are trained as if all had passed.

    Source: Ramanujan et al., What's Hidden in a Randomly Weighted Neural Network?, arXiv 1911.13299.

    Args:
        rate: The highest learning rate of the scores.
        trains_weights: Whether the weights are trained as well; in the paper they stay as they were drawn.

    Raises:
        ConfigError: The rate is not above 0.
    """

    rate: float = 0.01
    trains_weights: bool = False

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ConfigError(f"rate: expected a number above 0, found {self.rate}")

    def begin(self, sizes: torch.Tensor) -> Own:
        """Return a score for each thing: its size in shares of the row's mean."""
        return {"scores": (sizes / sizes.mean(dim=-1, keepdim=True)).detach()}

    def soft(
        self,
        sizes: torch.Tensor,  # noqa: ARG002  # the contract's
        own: Own,
        keep: int,
        progress: float,  # noqa: ARG002  # the contract's
        generator: torch.Generator,  # noqa: ARG002  # the contract's
    ) -> torch.Tensor:
        """Return 0 and 1, with the gradients of the scores."""
        scores = own["scores"]
        return largest(scores, keep).to(scores.dtype) + (scores - scores.detach())

    def penalty(self, own: Own, keep: int, columns: int, progress: float) -> float:  # noqa: ARG002  # the contract's
        """Return nothing."""
        return 0.0

    def hard(self, sizes: torch.Tensor, own: Own, keep: int) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return where the highest scores are."""
        return largest(own["scores"], keep)
