"""How long a batch of images takes."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import SERVES, Needs, Seen

__all__ = ["Milliseconds", "Spread"]


@about("measurement", ["network"], serves=SERVES, cost="some dozens of runs of a batch")
class Milliseconds:
    """Median time for one batch on the worker's threads."""

    unit = "ms"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "network"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the median in milliseconds."""
        return seen.timing.median


@about("measurement", ["network"], serves=SERVES, cost="none beside `milliseconds`")
class Spread:
    """Time between the quartiles of `milliseconds`; give it a high bound to have it recorded."""

    unit = "ms"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "network"

    def __call__(self, seen: Seen) -> float:
        """Return the time between the quartiles in milliseconds."""
        return seen.timing.high - seen.timing.low
