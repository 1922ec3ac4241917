"""When a prompt need not be put to the rest of the examples: what is known says enough, whatever comes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.prompts.objectives.contract import PerExample
from emoprune.space import IntArray

__all__ = ["GiveUp", "best_mean", "blocks"]

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
