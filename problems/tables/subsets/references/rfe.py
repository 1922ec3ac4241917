"""Recursive feature elimination: train, drop the least important fifth, train again.

Source: Guyon, Weston, Barnhill, Vapnik, Gene selection for cancer classification using support vector machines, 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, SubsetReference, sizes

__all__ = ["RecursiveElimination"]

PAPER = Paper(
    "Gene selection for cancer classification using support vector machines",
    appeared="Guyon, Weston, Barnhill, Vapnik, 2002",
)


@about(
    "pruning",
    ["columns"],
    serves=["features", "feature-subset"],
    cost="a model for each fifth of the columns that is dropped",
    papers=[PAPER],
    training=True,
)
@dataclass(frozen=True, slots=True)
class RecursiveElimination:
    """What is left at half, a quarter and an eighth of the columns, the least important dropped again and again.

    Args:
        dropped: The share of the columns that is dropped at a time; at least one is.
    """

    dropped: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.dropped < 1:
            raise ConfigError(f"rfe: dropped: expected a share between 0 and 1, found {self.dropped}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return what is left at half, a quarter and an eighth of the columns."""
        left = list(range(len(inputs.columns)))
        wanted, found = sizes(len(left)), list[SubsetReference]()
        computed, block = inputs.loaded.computed, inputs.task.parts.select
        while wanted:
            terms = [inputs.columns[place] for place in left]
            model = inputs.loaded.learner.fitted(computed, block, terms, inputs.seed)
            size = max(wanted[0], len(left) - max(1, int(self.dropped * len(left))))
            order = np.argsort(-model.importances, kind="stable")[:size]
            left = sorted(left[place] for place in order)
            if size == wanted[0]:
                found.append(inputs.keeping(f"rfe-{size}", [inputs.columns[place] for place in left]))
                wanted = wanted[1:]
        return Found(tuple(found))
