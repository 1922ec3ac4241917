"""How trees are grown on a table: chosen once, on all columns, by folds of the rows to search on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed, is_category
from emoprune.problems.tables.learners.contract import training_weights
from emoprune.problems.tables.learners.lightgbm import TreeOptions, binned_table, parameters
from emoprune.problems.tables.rows.splits import Block

__all__ = ["FOR_MORE", "tuned_trees"]

FloatArray = NDArray[np.float64]

CHOICES: Mapping[str, tuple[float, ...]] = {
    "leaves": (4, 8, 16, 31),
    "rows_per_leaf": (5, 20, 60),
    "columns_per_tree": (1.0, 0.5),
}
FOR_MORE = {"leaves": 16, "rows_per_leaf": 20, "columns_per_tree": 0.5}  # what more columns than all may rather want
FIRST = {"leaves": 8, "rows_per_leaf": 20, "columns_per_tree": 1.0}  # one is chosen after the other
RATE = 0.2  # large, because what is compared is grown hundreds of times
MOST = 200  # trees
PATIENCE = 20  # trees without a lower loss, after which no more are grown
METRICS = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2"}


def tuned_trees(computed: Computed, folds: Sequence[Block], given: Mapping[str, Any]) -> dict[str, float]:
    """Return the leaves, rows per leaf and number of trees with the least log loss or squared error over folds.

    Each is grown on all columns or on half of them.

    Args:
        computed: The columns.
        folds: All of them stop at the same number of trees.
        given: Options that are not chosen but kept to.
    """
    chosen: dict[str, float] = {name: given.get(name, first) for name, first in FIRST.items()}
    chosen["rate"] = given.get("rate", RATE)
    losses: dict[tuple[float, ...], tuple[float, int]] = {}

    def loss_with(own: Mapping[str, float]) -> float:
        key = tuple(own.values())
        if key not in losses:
            curve = _curve(computed, folds, TreeOptions(**{**given, **own, "trees": MOST}))
            losses[key] = float(curve.min()), int(curve.argmin()) + 1
        return losses[key][0]

    for name, choices in CHOICES.items():
        if name not in given:
            chosen[name] = min(choices, key=lambda choice: loss_with({**chosen, name: choice}))
    loss_with(chosen)
    return {**chosen, "trees": losses[tuple(chosen.values())][1]}


def _curve(computed: Computed, folds: Sequence[Block], options: TreeOptions) -> FloatArray:
    """Return the mean loss of the scored rows after each number of trees, shape (trees,)."""
    boosters = [_booster(computed, block, options) for block in folds]
    shares = np.array([len(block.scored) for block in folds], dtype=np.float64)
    curve: list[float] = []
    for _ in range(MOST):
        ended = [booster.update() for booster in boosters]
        losses = [booster.eval_valid()[0][2] for booster in boosters]
        curve.append(float(np.average(losses, weights=shares)))
        if all(ended) or len(curve) - int(np.argmin(curve)) > PATIENCE:
            break
    return np.array(curve)


def _booster(computed: Computed, block: Block, options: TreeOptions) -> lightgbm.Booster:
    table, terms = computed.table, computed.table.terms
    given = parameters(options, table, len(block.train), 1, 0)
    given["metric"] = METRICS[given["objective"]]
    train = binned_table(computed, terms, block, given)
    train.set_label(table.target[block.train])
    scored = lightgbm.Dataset(
        computed.matrix(terms, block, block.scored),
        table.target[block.scored],
        reference=train,
        params=given,
        categorical_feature=[place for place, term in enumerate(terms) if is_category(term, table)],
    )
    train.set_weight(training_weights(table, block, balanced=options.balanced))
    judged = Block("scored", block.scored, block.scored)
    scored.set_weight(training_weights(table, judged, balanced=options.balanced))
    booster = lightgbm.Booster(given, train)
    booster.add_valid(scored.construct(), "scored")
    return booster
