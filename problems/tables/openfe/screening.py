"""What a feature alone adds to the margins it starts from: by cross-fitted gain, or by trees as published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed, is_category
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.lightgbm import TreeOptions, parameters
from emoprune.problems.tables.openfe.boosting import Margins
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.features import Values

__all__ = ["CrossFittedGain", "Screen", "Screening", "SingleTrees"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Screening = Literal["gain", "trees"]

ROWS_PER_BIN = 20  # as many rows as LightGBM wants in a leaf
MOST_BINS = 32
MOST_CATEGORIES = 254
SHRINKAGE = 0.5  # of the best step: trees with a learning rate that stop early do not take all of it
PSEUDO_ROWS = 5.0  # rows of average curvature that pull each bin's step to zero
SAMPLED = 4096  # rows that the edges of bins are found on


class Screen(Protocol):
    """Says what a feature adds."""

    @property
    def rows(self) -> int:
        """How many rows there are to judge on."""
        ...

    def gains(self, terms: Sequence[Term], places: IntArray) -> FloatArray:
        """Return by how much the mean loss falls with each feature, on some places of the rows; shape (features,)."""
        ...


class CrossFittedGain:
    """Steps by bin, learnt on all folds but one, judged on that one: the second-order gain of trees, held out.

    One pass over the rows gives the sums of derivatives by fold and bin, and the rest is arithmetic on them; so a
    feature takes as long as it takes to compute it. A feature that adds nothing has a gain below zero on average.

    Args:
        computed: The features.
        block: Its training rows are the rows of `margins` and `folds`.
        margins: Where features start from.
        folds: The fold of each row, shape (n,).
    """

    def __init__(self, computed: Computed, block: Block, margins: Margins, folds: IntArray) -> None:
        self._computed = computed
        self._block = block
        self._margins = margins
        self._folds = folds

    @property
    def rows(self) -> int:
        """How many rows there are to judge on."""
        return len(self._block.train)

    def gains(self, terms: Sequence[Term], places: IntArray) -> FloatArray:
        """Return by how much the mean loss falls with each feature, on some places of the rows; shape (features,)."""
        rows = self._block.train[places]
        gradients, curvatures = self._margins.gradients[places], self._margins.curvatures[places]
        prior = PSEUDO_ROWS * curvatures.mean(axis=0)
        folds, count = self._folds[places], int(self._folds.max()) + 1
        found = np.empty(len(terms))
        for number, term in enumerate(terms):
            bins, width = _bins(self._computed.values(term, self._block).taken(rows))
            joint = folds * width + bins
            sums, curved = (_by_fold(joint, weights, count, width) for weights in (gradients, curvatures))
            found[number] = _held_out_gain(sums, curved, prior) / len(places)
        return found


def _by_fold(joint: IntArray, weights: FloatArray, folds: int, width: int) -> FloatArray:
    """Return the sums of weights by output, fold and bin; weights have the shape (n, outputs)."""
    outputs, size = weights.shape[1], folds * width
    places = (np.arange(outputs)[:, np.newaxis] * size + joint).ravel()
    sums = np.bincount(places, weights.T.ravel(), outputs * size).astype(np.float64)
    return sums.reshape(outputs, folds, width)


def _held_out_gain(sums: FloatArray, curved: FloatArray, prior: FloatArray) -> float:
    """Return the gain of steps from all other folds; both of shape (outputs, folds, bins)."""
    known = curved.sum(axis=1, keepdims=True) - curved + prior[:, np.newaxis, np.newaxis]
    step = -SHRINKAGE * (sums.sum(axis=1, keepdims=True) - sums) / (known + np.finfo(np.float64).tiny)
    return -float((step * sums + step**2 * curved / 2).sum())


def _bins(values: Values) -> tuple[IntArray, int]:
    """Return the bin of each row, and how many bins there are; missing values have one of their own."""
    if values.numbers is None and values.codes is not None:
        return np.minimum(values.codes, MOST_CATEGORIES), min(values.levels + 2, MOST_CATEGORIES + 1)
    numbers = values.as_input()
    missing = np.isnan(numbers)
    present = numbers[~missing]
    count = int(np.clip(len(present) // ROWS_PER_BIN, 2, MOST_BINS))
    stride = max(1, len(present) // SAMPLED)
    ordered = np.sort(present[::stride])
    if not len(ordered):
        return np.zeros(len(numbers), dtype=np.int64), 1
    edges = np.unique(ordered[(np.arange(1, count) * len(ordered)) // count])
    bins = np.searchsorted(edges, numbers, "right")
    return np.where(missing, len(edges) + 1, bins), len(edges) + 2


class SingleTrees:
    """LightGBM on the feature alone from the margins on, stopped early on a fifth of the rows: the published way."""

    def __init__(
        self, computed: Computed, block: Block, margins: Margins, folds: IntArray, options: TreeOptions
    ) -> None:
        self._computed = computed
        self._block = block
        self._margins = margins
        self._held_out = folds == 0
        self._options = options

    @property
    def rows(self) -> int:
        """How many rows there are to judge on."""
        return len(self._block.train)

    def gains(self, terms: Sequence[Term], places: IntArray) -> FloatArray:
        """Return by how much the mean loss falls with each feature, on some places of the rows; shape (features,)."""
        table, held = self._computed.table, self._held_out[places]
        parts = places[~held], places[held]
        given = parameters(self._options, table, len(parts[0]), 1, 0)
        metrics = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2"}
        given |= {"metric": metrics[given["objective"]], "boost_from_average": False}
        return np.array([self._gain(term, parts, given) for term in terms])

    def _gain(self, term: Term, parts: tuple[IntArray, IntArray], given: dict[str, object]) -> float:
        values = self._computed.values(term, self._block)
        target = self._computed.table.target
        categories = [0] if is_category(term, self._computed.table) else []
        data: list[lightgbm.Dataset] = []
        for places in parts:
            rows = self._block.train[places]
            data.append(
                lightgbm.Dataset(
                    values.taken(rows).as_input()[:, np.newaxis],
                    target[rows],
                    weight=self._computed.table.weights_of(rows),
                    init_score=self._margins.raw[places].ravel(order="F"),
                    reference=data[0] if data else None,
                    params=given,
                    categorical_feature=categories,
                )
            )
        booster = lightgbm.Booster(given, data[0].construct())
        booster.add_valid(data[1], "held-out")
        losses: list[float] = [_loss_of(booster)]
        for _ in range(self._options.of_rows(len(parts[0]))[0]):
            stopped = booster.update()
            losses.append(_loss_of(booster))
            if stopped or len(losses) - 1 - int(np.argmin(losses)) >= 3:
                break
        return losses[0] - min(losses)


def _loss_of(booster: lightgbm.Booster) -> float:
    return float(booster.eval_valid()[0][2])
