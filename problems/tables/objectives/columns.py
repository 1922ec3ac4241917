"""How many inputs a model has."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Columns"]


@about("measurement", ["columns"], serves=["features", "feature-subset", "tabular-stream"], cost="a count")
class Columns:
    """Inputs of the model, columns and generated features alike."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the number of inputs."""
        return float(len(seen.terms))

    def worst(self, whole: Seen) -> float:
        """Return the number of all of them."""
        return self(whole)
