"""How many new features a model gets beside the columns of the table."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.tables.formulas.formula import Column
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["NewColumns"]


@about("measurement", ["formulas"], serves=["features", "feature-subset"], cost="a count")
class NewColumns:
    """New features among the inputs of the model; columns of the table do not count."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the number of new features."""
        return float(sum(not isinstance(term, Column) for term in seen.terms))

    def worst(self, whole: Seen) -> float:
        """Return the number of columns: as many new ones again."""
        return float(len(whole.terms))
