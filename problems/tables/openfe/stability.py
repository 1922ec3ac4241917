"""Which new features are found again and again: one ranking of many, of features found on different rows.

Source: Meinshausen, Buehlmann, Stability selection, arXiv:0809.2932.
"""

from __future__ import annotations

from collections.abc import Sequence

from emoprune.problems.tables.formulas.formula import Formula

__all__ = ["most_stable"]

LATE = 5  # ranks, over which a feature's weight halves


def most_stable(rankings: Sequence[Sequence[Formula]]) -> list[Formula]:
    """Return all formulas of some rankings, the best first, those first that are early in many of them.

    Each ranking gives a formula the weight 1 / (rank + 5); of equal ones the first that comes is first.
    """
    weights: dict[Formula, float] = {}
    for ranking in rankings:
        for rank, formula in enumerate(ranking):
            weights[formula] = weights.get(formula, 0.0) + 1 / (rank + LATE)
    return sorted(weights, key=lambda formula: -weights[formula])
