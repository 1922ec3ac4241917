"""Recursive feature elimination: train, drop the least important fifth, train again.

Source: Guyon, Weston, Barnhill, Vapnik, Gene selection for cancer classification using support vector machines, 2002.
"""

from __future__ import annotations

import numpy as np

from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset, sizes

__all__ = ["rfe"]

DROPPED = 0.2


def rfe(inputs: ReferenceInputs) -> list[Subset]:
    """Return what is left at half, a quarter and an eighth of the columns."""
    left = list(range(len(inputs.columns)))
    wanted, found = sizes(len(left)), []
    while wanted:
        terms = [inputs.columns[place] for place in left]
        model = inputs.loaded.learner.fitted(inputs.loaded.computed, inputs.task.parts.select, terms, inputs.seed)
        size = max(wanted[0], len(left) - max(1, int(DROPPED * len(left))))
        order = np.argsort(-model.importances, kind="stable")[:size]
        left = sorted(left[place] for place in order)
        if size == wanted[0]:
            found.append((f"rfe-{size}", tuple(inputs.columns[place] for place in left)))
            wanted = wanted[1:]
    return found
