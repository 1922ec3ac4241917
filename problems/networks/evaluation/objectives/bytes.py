"""How much there is to store."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import SERVES, Needs, Seen

__all__ = ["Bytes"]


@about("measurement", ["network"], serves=SERVES, cost="a count; nothing is run")
class Bytes:
    """Bytes of all weights and statistics as stored."""

    unit = "B"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return seen.counts["bytes"]
