"""What the columns behind the inputs cost to acquire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Price"]


@about("measurement", ["columns"], serves=["features", "feature-subset"], cost="a sum")
@dataclass(frozen=True, slots=True)
class Price:
    """What acquiring the columns costs, by `prices`, 1 for a column that has none.

    Args:
        prices: The price of a column by its name; the problem's own `prices` unless given here.
    """

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    prices: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = {name: price for name, price in self.prices.items() if price < 0}
        if wrong:
            raise ConfigError(f"prices: expected numbers from 0 on, found {wrong}")

    def __call__(self, seen: Seen) -> float:
        """Return the sum of the prices of all columns behind the inputs."""
        return float(sum(self.prices.get(name, 1.0) for name in sorted(seen.sources)))

    def worst(self, whole: Seen) -> float:
        """Return the price of all columns."""
        return self(whole)
