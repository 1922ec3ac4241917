"""Fair bits, again and again: what a search has to beat."""

from __future__ import annotations

import numpy as np
from shared.judging import Judge, Plan
from shared.landscapes import FloatArray

from emoprune.space import IntArray

__all__ = ["run"]


def run(plan: Plan, judge: Judge, start: IntArray | None = None) -> FloatArray:
    """Sample as planned, with `start` for the first generation; return the last generation's objectives."""
    rng = np.random.default_rng(plan.seed)
    shape = (plan.population, plan.landscape.genes)
    found = judge.scores(rng.integers(0, 2, shape) if start is None else start)
    judge.begin()
    for _ in range(plan.evaluations // plan.population):
        found = judge.scores(rng.integers(0, 2, shape))
    return found
