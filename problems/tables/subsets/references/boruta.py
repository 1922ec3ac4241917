"""Columns that are more important than shuffled copies of all columns, again and again.

Source: Kursa, Rudnicki, Feature selection with the Boruta package, 2010; here with boosted trees for the forest.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np
from scipy.stats import binom

from emoprune.contracts import Found, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.learners.lightgbm import TreeOptions, grown, parameters
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs

__all__ = ["Boruta"]


@about(
    "pruning",
    ["columns"],
    serves=["features", "feature-subset"],
    cost="20 models of 50 trees on twice the columns",
    papers=[Paper("Feature selection with the Boruta package", appeared="Kursa, Rudnicki, 2010")],
    training=True,
)
@dataclass(frozen=True, slots=True)
class Boruta:
    """The columns that beat the best shuffled copy more often than by chance.

    Args:
        rounds: How often all columns are shuffled anew.
        trees: How many trees are grown in each round.
        level: The probability at which a column is confirmed, corrected for the number of columns.
    """

    rounds: int = 20
    trees: int = 50
    level: float = 0.05

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.trees < 1 or not 0 < self.level < 1:
            raise ConfigError(f"boruta: expected rounds and trees from 1 on and a level between 0 and 1, found {self}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the columns that are confirmed; none if none is."""
        block, table, count = inputs.task.parts.select, inputs.task.table, len(inputs.columns)
        matrix = inputs.loaded.computed.matrix(inputs.columns, block, block.train)
        categories = [place for place, term in enumerate(inputs.columns) if inputs.loaded.computed.levels(term, block)]
        hits = np.zeros(count)
        for _ in range(self.rounds):
            shuffled = inputs.rng.permuted(matrix, axis=0)
            given = parameters(TreeOptions(), table, len(matrix), 1, int(inputs.rng.integers(2**31)))
            # Random subsets of inputs, as a forest has them: otherwise equal columns hide behind the first of them.
            given |= {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1}
            data = lightgbm.Dataset(
                np.hstack([matrix, shuffled]),
                table.target[block.train],
                params=given,
                categorical_feature=[*categories, *(count + place for place in categories)],
            )
            booster = grown(lightgbm.Booster(given, data.construct()), self.trees)
            gains = np.asarray(booster.feature_importance("gain"))
            hits += gains[:count] > gains[count:].max(initial=0.0)
        confirmed = np.flatnonzero(binom.sf(hits - 1, self.rounds, 0.5) < self.level / count)
        kept = [inputs.columns[place] for place in confirmed]
        return Found((inputs.keeping("boruta", kept),) if kept else ())
