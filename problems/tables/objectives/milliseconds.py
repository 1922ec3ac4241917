"""How long a prediction takes."""

from __future__ import annotations

import statistics
import time
from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Milliseconds"]

WARM_UP = 5
TIMED = 31  # predictions of one row


@about(
    "measurement",
    ["columns"],
    serves=["features", "feature-subset", "tabular-stream"],
    cost=f"{WARM_UP + TIMED} predictions of one row",
)
class Milliseconds:
    """Median time from the columns of one row to its prediction."""

    unit: ClassVar[str] = "ms"
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the median time of predictions of one row in milliseconds, after a few that do not count."""
        predict = seen.trained.by_row()
        spent = []
        for turn in range(WARM_UP + TIMED):
            begun = time.perf_counter()
            predict(turn)
            spent.append(1000 * (time.perf_counter() - begun))
        return statistics.median(spent[WARM_UP:])
