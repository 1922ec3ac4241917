"""How much memory cached keys and values take."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE

__all__ = ["CacheBytes"]


@about("measurement", ["tokens"], serves=[KV_CACHE], cost="counted while candidates run")
class CacheBytes:
    """Bytes of the keys and values that all layers hold while a text goes on, as many as each token saw, on average."""

    unit = "B"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the mean."""
        return seen.counts["cache-bytes"]
