"""What an answer costs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["Cost"]

MANY = 1000.0  # answers, whose price is a number that a person can read


@about("measurement", ["tokens"], serves=SERVES, cost="the answers of each example")
class Cost:
    """Price of a thousand answers, by the tokens that are read and written for them."""

    unit = "per 1,000"
    direction = Direction.MINIMISE
    best = 0.0
    worst = None
    needs: ClassVar[Needs] = "costs"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return what a thousand answers like each example's would cost."""
        return np.asarray(MANY * seen.answers.costs)
