"""Tokens that are attended to, and unlike each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.standalone.token_selectors import SaliencyDiversity

__all__ = ["GreedyPrune"]


@about(
    "pruning",
    ["tokens"],
    serves=[TOKENS],
    cost="the cosine of every two tokens",
    papers=[Paper("GreedyPrune: Retenting Critical Visual Token Set for Large Vision Language Models", "2506.13166")],
)
@dataclass(frozen=True, slots=True)
class GreedyPrune:
    """Take tokens greedily by saliency to a power, times how unlike the token is to all that were taken before.

    The paper's balance of saliency and diversity, written here as a product: its exact objective was not at hand.

    Source: GreedyPrune: Retenting Critical Visual Token Set for Large Vision Language Models (arXiv 2506.13166).

    Args:
        strengths: The powers that a gene chooses from, rising: 0 is diversity alone, infinity (.inf) saliency alone.

    Raises:
        ConfigError: There are none, one is negative, or they do not rise.
    """

    strengths: Sequence[float] = (0.0, 0.5, 1.0, 2.0, math.inf)
    offsets: ClassVar[Sequence[int]] = ()

    def __post_init__(self) -> None:
        check_strengths("saliency-diversity", self.strengths)

    def program(self) -> SaliencyDiversity:
        """Return what chooses."""
        return SaliencyDiversity()


def check_strengths(name: str, strengths: Sequence[float]) -> None:
    """Refuse strengths that are none, negative or do not rise.

    Raises:
        ConfigError: It says so.
    """
    if not strengths or any(own < 0 for own in strengths) or sorted(set(strengths)) != list(strengths):
        raise ConfigError(f"{name}: strengths: expected rising numbers of 0 or more, found {list(strengths)}")
