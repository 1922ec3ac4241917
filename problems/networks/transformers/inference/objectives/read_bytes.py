"""How much memory is read to attend."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.transformers.inference.measures import READING

__all__ = ["ReadBytes"]


@about("measurement", ["tokens"], serves=READING, cost="counted while candidates run")
class ReadBytes:
    """Bytes that all heads read for one token, on average: bounds of pages, rounded keys, then keys and values.

    They are counted as if no two heads shared what they read, and as numbers of 32 bits where they are not rounded.
    """

    unit = "B"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the mean."""
        return seen.counts["read-bytes"]
