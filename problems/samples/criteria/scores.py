"""Scores of difficulty: early errors, gradients, forgetting, and the distance to the middle of the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.samples.criteria.contract import EPOCHS, Evidence
from emoprune.problems.samples.learning import one_hot

__all__ = ["EL2N", "CentroidDistance", "Forgetting", "GradientNorm"]

DATA_DIET = Paper("Deep Learning on a Data Diet: Finding Important Examples Early in Training", "2107.07075")
FORGETTING = Paper("An Empirical Study of Example Forgetting during Deep Neural Network Learning", "1812.05159")
COST = "twelve epochs of a softmax regression"


def _checked(epoch: int) -> None:
    if not 1 <= epoch <= EPOCHS:
        raise ConfigError(f"epoch: expected 1 to {EPOCHS}, found {epoch}")


@about("pruning", ["rows"], serves=["samples"], cost=COST, papers=[DATA_DIET])
@dataclass(frozen=True, slots=True)
class EL2N:
    """Distance of a row's early prediction from its label: 0 where it is right and sure, at most the root of 2.

    Args:
        epoch: After which it is looked at.

    Raises:
        ConfigError: There are not so many.
    """

    epoch: int = 3

    def __post_init__(self) -> None:
        _checked(self.epoch)

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per row, shape (n,)."""
        apart = evidence.history[self.epoch - 1] - one_hot(evidence.labels, evidence.classes)
        return np.asarray(np.linalg.norm(apart, axis=1))


@about("pruning", ["rows"], serves=["samples"], cost=COST, papers=[DATA_DIET])
@dataclass(frozen=True, slots=True)
class GradientNorm:
    """Norm of the gradient that a row's early loss has by the weights (GraNd).

    Args:
        epoch: After which it is looked at.

    Raises:
        ConfigError: There are not so many.
    """

    epoch: int = 3

    def __post_init__(self) -> None:
        _checked(self.epoch)

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per row, shape (n,)."""
        apart = evidence.history[self.epoch - 1] - one_hot(evidence.labels, evidence.classes)
        # The gradient of a linear softmax is the outer product of input and error; the intercept's input is 1.
        inputs = np.sqrt(1 + np.square(evidence.features).sum(axis=1))
        return np.asarray(np.linalg.norm(apart, axis=1) * inputs)


@about("pruning", ["rows"], serves=["samples"], cost=COST, papers=[FORGETTING])
@dataclass(frozen=True, slots=True)
class Forgetting:
    """How often a row that was classified rightly is not any more an epoch later; those never learnt count most.

    Rows that are forgotten equally often are ordered by the mean probability of their class.
    """

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per row, shape (n,)."""
        history = evidence.history
        right = history.argmax(axis=2) == evidence.labels
        forgotten = (right[:-1] & ~right[1:]).sum(axis=0)
        counts = np.where(right.any(axis=0), forgotten, EPOCHS)
        sure = history[:, np.arange(len(evidence.labels)), evidence.labels].mean(axis=0)
        return np.asarray(counts + (1 - sure))


@about("pruning", ["rows"], serves=["samples"], cost="a mean for each class")
@dataclass(frozen=True, slots=True)
class CentroidDistance:
    """Distance of a row from the mean of its class."""

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per row, shape (n,)."""
        sums = one_hot(evidence.labels, evidence.classes)
        counts = np.maximum(sums.sum(axis=0), 1)[:, None]
        return np.asarray(
            np.linalg.norm(evidence.features - (sums.T @ evidence.features / counts)[evidence.labels], axis=1)
        )
