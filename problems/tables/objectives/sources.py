"""How many columns of the table must be known."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Sources"]


@about("measurement", ["columns"], serves=["features", "feature-subset"], cost="a count")
class Sources:
    """Columns of the table that must be known to compute the inputs."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the number of columns behind the inputs."""
        return float(len(seen.sources))

    def worst(self, whole: Seen) -> float:
        """Return the number of columns behind all of them."""
        return self(whole)
