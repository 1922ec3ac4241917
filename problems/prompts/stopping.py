"""When a prompt need not be put to the rest of the examples: what it can still reach is known not to matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Objective, as_minimised
from emoprune.problems.prompts.measures import MEASURES
from emoprune.space import IntArray

__all__ = ["Stopping", "blocks"]

FloatArray = NDArray[np.float64]


def blocks(rows: int, first: int) -> list[IntArray]:
    """Return all rows in blocks: the first of `first` rows, each later one as large as all before it together."""
    ends = [min(first, rows)]
    while ends[-1] < rows:
        ends.append(min(2 * ends[-1], rows))
    return [np.arange(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Stopping:
    """Yardsticks that were measured once, before the search: prompts with their values in full.

    A prompt stops as soon as a yardstick is at least as good in every objective, and better in one, whatever comes of
    the examples that are left. Yardsticks never change, so what is measured of a prompt depends on nothing else.

    Args:
        objectives: What is made better.
        values: In natural signs, shape (yardsticks, objectives).
        texts: The yardsticks' own prompts, which are always measured in full.
        first: How many examples come first.
    """

    objectives: Sequence[Objective]
    values: FloatArray
    texts: frozenset[str]
    first: int = 8

    def hopeless(self, text: str, measured: Mapping[str, FloatArray], tokens: float, rows: int) -> bool:
        """Say whether a prompt need not go on.

        Args:
            text: The prompt.
            measured: Of the examples so far, by measure, one number each.
            tokens: The prompt's length.
            rows: How many examples there are in all.
        """
        if text in self.texts or len(self.values) == 0:
            return False
        best = np.array([self._best(each, measured, tokens, rows) for each in self.objectives])
        reachable = as_minimised(best, self.objectives)
        yardsticks = as_minimised(self.values, self.objectives)
        return bool(((yardsticks <= reachable).all(axis=1) & (yardsticks < reachable).any(axis=1)).any())

    def _best(self, objective: Objective, measured: Mapping[str, FloatArray], tokens: float, rows: int) -> float:
        """Return the best value that can still come of an objective if every other example goes as well as can be."""
        if objective.name not in measured:
            return tokens
        known = measured[objective.name]
        best = MEASURES[objective.name].best
        if objective.name == "balanced-accuracy":  # a class's weight can make a single hit worth more than 1
            return np.inf if objective.direction is Direction.MAXIMISE else -np.inf
        return float((known.sum() + best * (rows - len(known))) / rows)
