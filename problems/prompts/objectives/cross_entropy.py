"""How surprising the right answer is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["CrossEntropy"]


@about("measurement", ["tokens"], serves=SERVES, cost="the answers of each example")
class CrossEntropy:
    """Mean surprise at the right answer among the choices."""

    unit = "nats"
    direction = Direction.MINIMISE
    best = 0.0
    worst = None
    needs: ClassVar[Needs] = "choices"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return the surprise per example."""
        gold = seen.answers.gold
        return np.asarray(-seen.answers.log_probabilities[np.arange(len(gold)), gold])
