"""How many tokens go through how many layers."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.transformers.inference.measures import TOKENS

__all__ = ["LayerTokens"]


@about("measurement", ["tokens"], serves=[TOKENS], cost="counted while candidates run")
class LayerTokens:
    """Tokens that go into each layer, summed over the layers, on average over examples."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the mean."""
        return seen.counts["layer-tokens"]
