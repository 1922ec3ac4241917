"""When a prompt need not be put to the rest of the examples, judged by what never changes during a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Objective, as_minimised
from emoprune.problems.prompts.objectives.contract import PerExample
from emoprune.space import IntArray

__all__ = ["Baselines", "GiveUp", "Halving", "best_mean", "blocks"]

FloatArray = NDArray[np.float64]
GiveUp = Callable[[Mapping[str, FloatArray], int], bool]  # what is known so far by measure, how many examples in all


def blocks(rows: int, first: int) -> list[IntArray]:
    """Return all rows in blocks that end at half of them, a quarter and so on, down to one of about `first` rows."""
    ends = [rows]
    while ends[0] > max(1, min(first, rows // 2)):
        ends.insert(0, (ends[0] + 1) // 2)
    return [np.arange(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def best_mean(measure: PerExample, known: FloatArray, rows: int) -> float:
    """Return the best mean that a measure can still have if every example that is left goes as well as can be."""
    best: float = getattr(measure, "best_of_one", measure.best)
    return float((known.sum() + best * (rows - len(known))) / rows) if np.isfinite(best) else best


@dataclass(frozen=True, slots=True, eq=False)
class Baselines:
    """Prompts that were measured once in full, before the search: `values` in natural signs, shape (n, objectives).

    A prompt is given up as soon as a baseline is at least as good in every objective, and better in one, whatever
    comes of the examples that are left. The baselines' own `texts` are always measured in full. `measures` are those
    that are known per example.
    """

    objectives: Sequence[Objective]
    values: FloatArray
    texts: frozenset[str]
    measures: Mapping[str, PerExample]

    def against(self, text: str, of_prompt: Mapping[str, float]) -> GiveUp | None:
        """Return when to give up a prompt, from what is measured of it alone; None for never."""
        if text in self.texts or len(self.values) == 0:
            return None
        baselines = as_minimised(self.values, self.objectives)

        def reachable_in(objective: Objective, known: Mapping[str, FloatArray], rows: int) -> float:
            if objective.name in known:
                return best_mean(self.measures[objective.name], known[objective.name], rows)
            return of_prompt.get(objective.name, np.inf if objective.direction is Direction.MAXIMISE else -np.inf)

        def hopeless(known: Mapping[str, FloatArray], rows: int) -> bool:
            best = np.array([reachable_in(each, known, rows) for each in self.objectives])
            reachable = as_minimised(best, self.objectives)
            return bool(((baselines <= reachable).all(axis=1) & (baselines < reachable).any(axis=1)).any())

        return hopeless


@dataclass(frozen=True, slots=True)
class Halving:
    """Give a prompt up after half of the examples if its mean is below `floor` there.

    PromptQuine (arXiv 2506.17930) compares with the population's worst; a floor that was fixed beforehand keeps what is
    measured of a prompt a matter of the prompt alone.
    """

    measure: str
    floor: float

    def __call__(self, known: Mapping[str, FloatArray], rows: int) -> bool:
        """Whether to stop here."""
        seen = known[self.measure]
        return len(seen) >= rows // 2 and float(seen[: max(1, rows // 2)].mean()) < self.floor
