"""How often the answer is right, each class weighing alike."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["BalancedAccuracy"]


@about("measurement", ["tokens"], serves=SERVES, cost="the answers of each example")
class BalancedAccuracy:
    """Mean over the classes of the share answered rightly."""

    unit = ""
    direction = Direction.MAXIMISE
    best = 1.0
    worst = 0.0
    best_of_one = float("inf")  # a class's weight can make a single hit worth more than 1
    needs: ClassVar[Needs] = "classes"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return hits, weighted so that their mean over all examples is the mean of the classes' accuracies."""
        answers = seen.answers
        classes = np.count_nonzero(answers.counts)
        return np.asarray(answers.right * (answers.counts.sum() / (classes * answers.counts[answers.gold])))
