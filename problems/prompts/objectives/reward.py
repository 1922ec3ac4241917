"""How far the right answer is ahead."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Paper, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["Reward"]


@about(
    "measurement",
    ["tokens"],
    serves=SERVES,
    cost="the answers of each example",
    papers=[
        Paper("RLPrompt", "2205.12548"),
        Paper("Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective", "2506.17930"),
    ],
)
class Reward:
    """Mean gap between the right answer's probability and the best wrong one's, times 200, or 180 below 0.

    Source: the piecewise gap of RLPrompt (arXiv 2205.12548) with the factors that PromptQuine (arXiv 2506.17930) gives
    it: 200 where the right answer is the likeliest, 180 where it is not.
    """

    unit = ""
    direction = Direction.MAXIMISE
    best = 200.0
    worst = -180.0
    needs: ClassVar[Needs] = "choices"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return the gap per example."""
        gold = seen.answers.gold
        probabilities = np.exp(seen.answers.log_probabilities)
        rows = np.arange(len(gold))
        others = probabilities.copy()
        others[rows, gold] = -np.inf
        gap = probabilities[rows, gold] - others.max(axis=1)
        return np.asarray(np.where(gap > 0, 200.0, 180.0) * gap)
