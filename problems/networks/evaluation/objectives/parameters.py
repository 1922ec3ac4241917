"""How many numbers were trained."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import SERVES, Needs, Seen

__all__ = ["Parameters"]


@about("measurement", ["network"], serves=SERVES, cost="a count; nothing is run")
class Parameters:
    """Trained numbers, those that are zeroed left out."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return seen.counts["parameters"]
