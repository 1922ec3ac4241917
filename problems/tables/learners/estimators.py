"""Estimators of scikit-learn, or of its kind, as learners: missing values filled in, categories spread out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.contract import training_weights
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Task

__all__ = ["EstimatorLearner", "Preparation"]

FloatArray = NDArray[np.float64]

SPREAD = 20  # categories of a column that get an input of their own; the rarer ones share none


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """How inputs become numbers without gaps, all of one scale: learnt on training rows.

    `frequent` holds, per input, the codes of the categories that are spread out; None for numbers.
    """

    frequent: tuple[FloatArray | None, ...]
    medians: FloatArray
    means: FloatArray
    deviations: FloatArray

    @classmethod
    def of(cls, inputs: FloatArray, levels: Sequence[int]) -> Preparation:
        """Learn from training inputs of shape (n, inputs); `levels` counts each one's categories, 0 for numbers."""
        frequent: list[FloatArray | None] = []
        for place, count in enumerate(levels):
            column = inputs[:, place]
            codes, seen = np.unique(column[~np.isnan(column)], return_counts=True)
            frequent.append(np.sort(codes[np.argsort(-seen, kind="stable")][:SPREAD]) if count else None)
        present = ~np.isnan(inputs)
        filled = np.where(present.any(axis=0), inputs, 0.0)
        medians = np.nanmedian(filled, axis=0)
        numbers = np.where(np.isnan(inputs), medians, inputs)
        deviations = numbers.std(axis=0)
        scale = np.where(deviations > 0, deviations, 1.0)
        return cls(tuple(frequent), medians, numbers.mean(axis=0), scale)

    @property
    def widths(self) -> list[int]:
        """How many numbers each input becomes."""
        return [1 if codes is None else len(codes) for codes in self.frequent]

    def applied(self, inputs: FloatArray) -> FloatArray:
        """Return prepared inputs, shape (n, sum of widths)."""
        parts = []
        for place, codes in enumerate(self.frequent):
            column = inputs[:, place]
            if codes is None:
                filled = np.where(np.isnan(column), self.medians[place], column)
                parts.append(((filled - self.means[place]) / self.deviations[place])[:, np.newaxis])
            else:
                parts.append((column[:, np.newaxis] == codes).astype(np.float64))
        return np.hstack(parts)


class EstimatorLearner:
    """An estimator made anew for each training.

    Args:
        make: Returns an estimator with `fit` and `predict`, and `predict_proba` for classes.
        balanced: Whether every class gets the same sum of weights.
    """

    def __init__(self, make: Callable[[int], Any], *, balanced: bool) -> None:
        self._make = make
        self._balanced = balanced

    def fitted(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> EstimatorModel:
        """Return an estimator trained on the block's training rows with these features.

        Raises:
            ConfigError: It cannot give probabilities of classes, or cannot take weights although classes are balanced.
        """
        inputs = computed.matrix(terms, block, block.train)
        prepared = Preparation.of(inputs, [computed.levels(term, block) for term in terms])
        estimator = self._make(seed)
        table, target = computed.table, computed.table.target[block.train]
        classes = 0 if table.task is Task.REGRESSION else len(table.classes)
        if classes and not hasattr(estimator, "predict_proba"):
            raise ConfigError(
                f"learner: {type(estimator).__name__} has no predict_proba, so its predictions cannot be judged; "
                "choose another one, or wrap it in sklearn.calibration:CalibratedClassifierCV"
            )
        if classes and len(np.unique(target)) < 2:
            return EstimatorModel(_Constant(target[0]), prepared, classes)
        estimator.fit(prepared.applied(inputs), target, **self._weights(estimator, computed, block))
        return EstimatorModel(estimator, prepared, classes)

    def _weights(self, estimator: Any, computed: Computed, block: Block) -> dict[str, FloatArray]:
        weights = training_weights(computed.table, block, balanced=self._balanced)
        if weights is None:
            return {}
        last, step = estimator, ""
        while hasattr(last, "steps"):  # a pipeline: its last step learns
            step, last = f"{step}{last.steps[-1][0]}__", last.steps[-1][1]
        if "sample_weight" not in inspect.signature(last.fit).parameters:
            raise ConfigError(
                f"learner: {type(last).__name__} takes no sample_weight; leave `balanced` and sample weights out"
            )
        return {f"{step}sample_weight": weights}


@dataclass(frozen=True, slots=True)
class _Constant:
    """What is learnt where all training rows are of one class."""

    only: float

    @property
    def classes_(self) -> FloatArray:
        return np.array([self.only])

    def predict_proba(self, inputs: FloatArray) -> FloatArray:
        return np.ones((len(inputs), 1))


@dataclass(frozen=True, slots=True, eq=False)
class EstimatorModel:
    """A trained estimator with its preparation; `classes` counts the table's classes, 0 for numbers."""

    estimator: Any
    prepared: Preparation
    classes: int

    @property
    def importances(self) -> FloatArray:
        """The estimator's importances or absolute coefficients, summed over what an input was spread to."""
        found = getattr(self.estimator, "feature_importances_", None)
        if found is None and hasattr(self.estimator, "coef_"):
            found = np.abs(np.atleast_2d(self.estimator.coef_)).sum(axis=0)
        if found is None:
            return np.zeros(len(self.prepared.frequent))
        starts = np.cumsum([0, *self.prepared.widths[:-1]])
        widths = np.array(self.prepared.widths)
        sums = np.array([found[start : start + width].sum() for start, width in zip(starts, widths, strict=True)])
        return np.asarray(sums, dtype=np.float64)

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return numbers, shape (n,), or probabilities, shape (n, classes)."""
        prepared = self.prepared.applied(inputs)
        if not self.classes:
            return np.asarray(self.estimator.predict(prepared), dtype=np.float64).ravel()
        probabilities = np.zeros((len(inputs), self.classes))  # a class without training rows is never predicted
        probabilities[:, self.estimator.classes_.astype(np.int64)] = self.estimator.predict_proba(prepared)
        return probabilities

    def write(self, folder: Path) -> str | None:  # noqa: ARG002  # nothing can be written
        """Write nothing: estimators have no form on the disk but pickle, which runs code when it is read."""
        return None
