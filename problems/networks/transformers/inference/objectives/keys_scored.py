"""How many keys are scored to find those that matter."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.transformers.inference.measures import READING

__all__ = ["KeysScored"]


@about("measurement", ["tokens"], serves=READING, cost="counted while candidates run")
class KeysScored:
    """Keys whose product with a query a layer computes, to find some or to attend, averaged over layers and tokens."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the mean."""
        return seen.counts["keys-scored"]
