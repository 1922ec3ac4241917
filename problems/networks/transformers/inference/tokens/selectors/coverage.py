"""Tokens that cover what asks, and all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.standalone.token_selectors import Coverage
from emoprune.problems.networks.transformers.inference.tokens.selectors.saliency_diversity import check_strengths

__all__ = ["MMTok"]


@about(
    "pruning",
    ["tokens"],
    serves=[TOKENS],
    cost="the cosine of every two tokens",
    papers=[Paper("MMTok: Multimodal Coverage Maximization for Efficient Inference of VLMs", "2508.18264")],
)
@dataclass(frozen=True, slots=True)
class MMTok:
    """Take tokens greedily so that they cover best what asks and all the tokens that there are.

    A token covers another by its share of that one's softmax over likenesses; the sum of the best shares is monotone
    and submodular, so that the greedy choice is within 1 - 1/e of the best one.

    Source: MMTok: Multimodal Coverage Maximization for Efficient Inference of VLMs (arXiv 2508.18264).

    Args:
        strengths: How much the tokens' own term weighs beside that of what asks, rising: 0 for none, infinity (.inf)
            for it alone.
        query_temperature: Of the softmax over likenesses to what asks.
        unit_temperature: Of the softmax over likenesses among tokens.

    Raises:
        ConfigError: A temperature is not positive, or the strengths make no sense.
    """

    strengths: Sequence[float] = (0.0, 0.5, 2.0)
    query_temperature: float = 0.01
    unit_temperature: float = 0.2
    offsets: ClassVar[Sequence[int]] = ()

    def __post_init__(self) -> None:
        check_strengths("coverage", self.strengths)
        if not (self.query_temperature > 0 and self.unit_temperature > 0):
            raise ConfigError(
                f"coverage: expected temperatures above 0, found {self.query_temperature} and {self.unit_temperature}"
            )

    def program(self) -> Coverage:
        """Return what chooses."""
        return Coverage(self.query_temperature, self.unit_temperature)
