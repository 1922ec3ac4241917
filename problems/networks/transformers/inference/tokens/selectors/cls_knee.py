"""As many tokens as stand before an elbow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.standalone.token_selectors import Knee

__all__ = ["ClsKnee"]


@about(
    "pruning",
    ["tokens"],
    serves=[TOKENS],
    cost="the cosine of every token to the class token",
    papers=[
        Paper(
            "Sparsity Meets Similarity: Leveraging Long-Tail Distribution for Dynamic Optimized Token Representation "
            "in Multimodal Large Language Models",
            "2409.01162",
        )
    ],
)
@dataclass(frozen=True, slots=True)
class ClsKnee:
    """Keep the tokens that are most like the class token, down to the elbow of their sorted likeness.

    Each example keeps as many as its own curve says, and a gene adds an offset to all of them; with a later layer the
    least attended of those go, as in the paper's second stage. The elbow is found here as the point farthest below the
    line between the ends of the curve.

    Source: Sparsity Meets Similarity: Leveraging Long-Tail Distribution for Dynamic Optimized Token Representation in
    Multimodal Large Language Models (arXiv 2409.01162).

    Args:
        offsets: What is added to the count of every example, rising.
        flat: A curve that bends by no more than this share of its height has no elbow, and keeps all of its tokens.

    Raises:
        ConfigError: The offsets do not rise, or the share is none.
    """

    offsets: Sequence[int] = (-8, -4, -2, 0, 2, 4, 8, 16)
    flat: float = 0.05
    strengths: ClassVar[Sequence[float]] = (1.0,)

    def __post_init__(self) -> None:
        if not self.offsets or sorted(set(self.offsets)) != list(self.offsets):
            raise ConfigError(f"cls-knee: offsets: expected rising whole numbers, found {list(self.offsets)}")
        if not 0 <= self.flat < 1:
            raise ConfigError(f"cls-knee: flat: expected a share from 0 to below 1, found {self.flat}")

    def program(self) -> Knee:
        """Return what chooses."""
        return Knee(self.flat)
