"""How many keys each query is held against."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.transformers.inference.measures import READING

__all__ = ["Keys"]


@about("measurement", ["tokens"], serves=READING, cost="counted while candidates run")
class Keys:
    """Keys that a query attends to in a layer, on average over layers and tokens."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the mean."""
        return seen.counts["keys"]
