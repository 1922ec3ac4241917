"""What a criterion may look at to say how hard a training row is, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.samples.learning import one_hot
from emoprune.space import IntArray

__all__ = ["Evidence", "RowCriterion"]

FloatArray = NDArray[np.float64]

EPOCHS, BATCH, RATE = 12, 32, 0.05


@dataclass(frozen=True, eq=False)
class Evidence:
    """The training rows; rows that anything is scored on are not there.

    Attributes:
        features: Shape (n, d).
        labels: Classes from 0, shape (n,).
        classes: How many classes there are.
        seed: All randomness of a criterion.
    """

    features: FloatArray
    labels: IntArray
    classes: int
    seed: int

    @cached_property
    def history(self) -> FloatArray:
        """Probabilities of a softmax regression after each epoch of its training, shape (epochs, n, classes)."""
        rng = np.random.default_rng([self.seed, 4])
        inputs = np.column_stack([self.features, np.ones(len(self.features))])
        targets, weights = one_hot(self.labels, self.classes), np.zeros((inputs.shape[1], self.classes))
        found = []
        for _ in range(EPOCHS):
            for rows in np.array_split(rng.permutation(len(inputs)), max(1, len(inputs) // BATCH)):
                wrong = _softmax(inputs[rows] @ weights) - targets[rows]
                weights -= RATE * inputs[rows].T @ wrong / len(rows)
            found.append(_softmax(inputs @ weights))
        return np.array(found)


def _softmax(scores: FloatArray) -> FloatArray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class RowCriterion(Protocol):
    """Says how hard rows are."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return a finite score per row, shape (n,), the larger the harder it is to learn."""
        ...
