"""The second stage: what each new feature is worth beside all columns and the other new features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import lightgbm
import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Formula, Term
from emoprune.problems.tables.learners.lightgbm import (
    BoostedTrees,
    TreeOptions,
    binned_column,
    grown,
    joined,
    parameters,
)
from emoprune.problems.tables.openfe.boosting import Margins
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.scores.metrics import Metric
from emoprune.problems.tables.table import Task

__all__ = ["Attribution", "attributed"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Attribution = Literal["gain", "permutation"]


def attributed(
    computed: Computed,
    block: Block,
    formulas: Sequence[Formula],
    margins: Margins,
    folds: IntArray,
    *,
    by: Attribution,
    trees: TreeOptions,
    seed: int,
) -> FloatArray:
    """Return the importances of formulas in one model of all columns and formulas, shape (formulas,).

    By gain the model starts from the margins and sees all rows; by permutation it is judged on the rows of fold 0.
    """
    if not formulas:
        return np.zeros(0)
    terms: tuple[Term, ...] = (*computed.table.terms, *formulas)
    if by == "permutation":
        own = Block("attribution", block.train[folds != 0], block.train[folds == 0])
        return _permuted(computed, own, terms, trees, seed)[-len(formulas) :]
    rows = block.train
    given = parameters(trees, computed.table, len(rows), 1, seed) | {"boost_from_average": False}
    target, weights = computed.table.target[rows], computed.table.weights_of(rows)
    whole = joined((binned_column(computed, term, block, given) for term in terms), target, weights)
    whole.set_init_score(margins.raw.ravel(order="F"))
    booster = grown(lightgbm.Booster(given, whole), trees.of_rows(len(rows))[0])
    return np.asarray(booster.feature_importance("gain"), dtype=np.float64)[-len(formulas) :]


def _permuted(computed: Computed, block: Block, terms: Sequence[Term], trees: TreeOptions, seed: int) -> FloatArray:
    """Return by how much the loss of the scored rows grows when an input is shuffled, shape (features,)."""
    table = computed.table
    name = "mean_squared_error" if table.task is Task.REGRESSION else "log_loss"
    metric, rng = Metric(name, table.task, f"neg_{name}"), np.random.default_rng(seed)
    model = BoostedTrees(trees).fitted(computed, block, terms, seed)
    inputs, target = computed.matrix(terms, block, block.scored), table.target[block.scored]
    weights = table.weights_of(block.scored)
    before = metric(target, model.predict(inputs), weights)
    found = np.zeros(len(terms))
    for place in np.flatnonzero(model.importances > 0):
        shuffled = inputs.copy()
        shuffled[:, place] = rng.permutation(inputs[:, place])
        found[place] = metric(target, model.predict(shuffled), weights) - before
    return found
