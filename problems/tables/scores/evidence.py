"""Whether one way is better than another: paired losses on the same folds, with their standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError

__all__ = ["ALL_COLUMNS", "GUESS", "Evidence", "compared", "shrunk"]

ALL_COLUMNS, GUESS = "all columns", "a guess"  # what subsets are held against

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """By how much the mean loss differs from that of what it is held against, and the standard error of that.

    `measured` is the difference as it was measured, before luck was taken off: the mean over the folds.
    """

    difference: float
    error: float
    against: str = ALL_COLUMNS
    measured: float = field(default=float("nan"), compare=False)

    def better(self, errors: float = 1.0) -> bool:
        """Whether the loss is lower by more than so many standard errors."""
        return self.difference < -errors * self.error

    def worse(self, errors: float = 1.0) -> bool:
        """Whether the loss is higher by more than so many standard errors."""
        return self.difference > errors * self.error


def compared(losses: FloatArray, held_against: FloatArray) -> Evidence:
    """Return the evidence of paired losses of repeated cross-validation, shape (folds,) each.

    The error is that of independent folds. Folds that share rows are not quite, so it is a small one to ask for: what
    is not better by that much is not worth to be looked at.

    Args:
        losses: One loss per fold, those of all repeats one after another.
        held_against: Those of the other way, on the same folds.

    Raises:
        ContractError: The losses are not of the same two or more folds.
    """
    if losses.shape != held_against.shape or losses.ndim != 1 or len(losses) < 2:
        raise ContractError(
            f"expected paired losses of two or more folds, found shapes {losses.shape} and {held_against.shape}"
        )
    differences = losses - held_against
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    return Evidence(mean, error, measured=mean)


def shrunk(found: Mapping[int, Evidence]) -> dict[int, Evidence]:
    """Return evidence on one way at several doses, each halfway to the mean of all: the best of several is lucky."""
    mean = float(np.mean([each.difference for each in found.values()])) if found else 0.0
    return {key: replace(each, difference=(each.difference + mean) / 2) for key, each in found.items()}
