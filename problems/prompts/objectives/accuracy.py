"""How often the answer is right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["Accuracy"]


@about("measurement", ["tokens"], serves=SERVES, cost="the answers of each example")
class Accuracy:
    """Share of examples that are answered rightly."""

    unit = ""
    direction = Direction.MAXIMISE
    best = 1.0
    worst = 0.0
    needs: ClassVar[Needs] = "answers"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return 1 or 0 per example."""
        return seen.answers.right
