"""Feature boosting: what a model of all columns says of rows it did not see, from which new features start."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.learners.lightgbm import TreeOptions, binned_table, grown, parameters
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Table, Task

__all__ = ["Margins", "constant", "out_of_fold", "published"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SCALES = np.linspace(0.05, 1.2, 24)
MOST_TREES = 10_000  # these three as published
RATE = 0.1
PATIENCE = 200  # trees without a lower loss
SHAPING = ("num_leaves", "min_data_in_leaf", "max_bin", "min_data_in_bin", "feature_pre_filter")  # left to LightGBM


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Raw scores of rows, with the loss's first and second derivatives there; all of shape (n, outputs).

    There is one output, and one per class where there are several. The loss is the log loss or half the squared error.
    """

    raw: FloatArray
    gradients: FloatArray
    curvatures: FloatArray

    @classmethod
    def at(cls, raw: FloatArray, table: Table, rows: IntArray) -> Margins:
        """Return the derivatives of the weighted loss of `rows` at raw scores, shape (rows, outputs)."""
        target = table.target[rows]
        if table.task is Task.REGRESSION:
            gradients, curvatures = raw - target[:, np.newaxis], np.ones_like(raw)
        elif table.task is Task.BINARY:
            sure = 0.5 * (1 + np.tanh(raw / 2))
            gradients, curvatures = sure - target[:, np.newaxis], sure * (1 - sure)
        else:
            sure = _softmax(raw)
            gradients, curvatures = sure - np.eye(raw.shape[1])[target.astype(np.int64)], sure * (1 - sure)
        weights = table.weights_of(rows)
        if weights is None:
            return cls(raw, gradients, curvatures)
        return cls(raw, gradients * weights[:, np.newaxis], curvatures * weights[:, np.newaxis])


def out_of_fold(computed: Computed, rows: IntArray, folds: IntArray, options: TreeOptions, seed: int) -> Margins:
    """Return margins of rows, each from trees on all columns grown on the other folds; `folds` has shape (n,).

    Trees are surer of themselves than they are right, so all scores are shrunk by one factor, the one with the least
    loss: otherwise every feature that repeats a column would seem to add something.
    """
    table = computed.table
    block = Block("boosting", rows, rows)
    given = parameters(options, table, len(rows), 1, seed)
    whole = binned_table(computed, table.terms, block, given)
    whole.set_label(table.target[rows])
    whole.set_weight(table.weights_of(rows))
    raw = np.zeros((len(rows), _outputs(table)))
    for fold in np.unique(folds):
        others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        booster = lightgbm.Booster(given, whole.subset(others.tolist()).construct())
        grown(booster, options.of_rows(len(rows))[0])
        inputs = computed.matrix(table.terms, block, rows[own])
        raw[own] = np.asarray(booster.predict(inputs, raw_score=True, num_threads=1)).reshape(len(own), -1)
    return Margins.at(_calibrated(raw, table, rows), table, rows)


def published(computed: Computed, rows: IntArray, folds: IntArray, seed: int) -> Margins:
    """Return margins of rows as OpenFE's feature boosting has them: from trees on the other folds, as sure as they are.

    LightGBM with its own defaults grows at most 10,000 trees at a rate of 0.1, and stops 200 trees after the one with
    the least loss on the very fold that gets the scores. `folds` has shape (n,).
    """
    table = computed.table
    given = parameters(TreeOptions(rate=RATE), table, len(rows), 1, seed)
    given = {name: value for name, value in given.items() if name not in SHAPING}
    raw = np.zeros((len(rows), _outputs(table)))
    for fold in np.unique(folds):
        others, own = rows[folds != fold], rows[folds == fold]
        block = Block("boosting", others, own)
        train = binned_table(computed, table.terms, block, given)
        train.set_label(table.target[others])
        train.set_weight(table.weights_of(others))
        inputs = computed.matrix(table.terms, block, own)
        held = train.create_valid(inputs, table.target[own], table.weights_of(own))
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        booster = lightgbm.train(given, train, MOST_TREES, valid_sets=[held], callbacks=[stop])
        raw[folds == fold] = np.asarray(booster.predict(inputs, raw_score=True, num_threads=1)).reshape(len(own), -1)
    return Margins.at(raw, table, rows)


def constant(table: Table, rows: IntArray) -> Margins:
    """Return margins of rows that know nothing but the mean of the target, or the frequencies of its classes."""
    target, weights = table.target[rows], table.weights_of(rows)
    if table.task is Task.REGRESSION:
        level = np.array([np.average(target, weights=weights)])
    else:
        counts = np.bincount(target.astype(np.int64), weights, minlength=len(table.classes))
        shares = (counts + 0.5) / (counts.sum() + 1)
        level = np.log(shares) if table.task is Task.MULTICLASS else np.log(shares[1:] / shares[0])
    return Margins.at(np.tile(level, (len(rows), 1)), table, rows)


def _outputs(table: Table) -> int:
    return len(table.classes) if table.task is Task.MULTICLASS else 1


def _calibrated(raw: FloatArray, table: Table, rows: IntArray) -> FloatArray:
    centre = raw.mean(axis=0)
    shrunk = [centre + scale * (raw - centre) for scale in SCALES]
    losses = [_loss(each, table, rows) for each in shrunk]
    return np.asarray(shrunk[int(np.argmin(losses))])


def _loss(raw: FloatArray, table: Table, rows: IntArray) -> float:
    target = table.target[rows]
    if table.task is Task.REGRESSION:
        losses = (raw[:, 0] - target) ** 2
    elif table.task is Task.BINARY:
        losses = np.logaddexp(0, np.where(target == 1, -raw[:, 0], raw[:, 0]))
    else:
        losses = -np.log(_softmax(raw)[np.arange(len(raw)), target.astype(np.int64)])
    return float(np.average(losses, weights=table.weights_of(rows)))


def _softmax(raw: FloatArray) -> FloatArray:
    exponents = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
