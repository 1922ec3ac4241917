"""Columns that are more important than shuffled copies of all columns, again and again.

Source: Kursa, Rudnicki, Feature selection with the Boruta package, 2010; here with boosted trees for the forest.
"""

from __future__ import annotations

import lightgbm
import numpy as np
from scipy.stats import binom

from emoprune.problems.tables.learners.lightgbm import TreeOptions, grown, parameters
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset

__all__ = ["boruta"]

ROUNDS = 20
TREES = 50
LEVEL = 0.05


def boruta(inputs: ReferenceInputs) -> list[Subset]:
    """Return the columns that beat the best shuffled copy more often than by chance; none if none does."""
    block, table = inputs.task.parts.select, inputs.task.table
    matrix = inputs.loaded.computed.matrix(inputs.columns, block, block.train)
    categories = [place for place, term in enumerate(inputs.columns) if inputs.loaded.computed.levels(term, block)]
    count, rng = len(inputs.columns), inputs.rng("boruta")
    trees = TreeOptions()
    hits = np.zeros(count)
    for _ in range(ROUNDS):
        shuffled = rng.permuted(matrix, axis=0)
        given = parameters(trees, table, len(matrix), 1, int(rng.integers(2**31)))
        # Random subsets of inputs, as a forest has them: otherwise equal columns hide behind the first of them.
        given |= {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1}
        data = lightgbm.Dataset(
            np.hstack([matrix, shuffled]),
            table.target[block.train],
            params=given,
            categorical_feature=[*categories, *(count + place for place in categories)],
        )
        booster = grown(lightgbm.Booster(given, data.construct()), TREES)
        gains = np.asarray(booster.feature_importance("gain"))
        hits += gains[:count] > gains[count:].max(initial=0.0)
    confirmed = np.flatnonzero(binom.sf(hits - 1, ROUNDS, 0.5) < LEVEL / count)
    return [("boruta", tuple(inputs.columns[place] for place in confirmed))] if len(confirmed) else []
