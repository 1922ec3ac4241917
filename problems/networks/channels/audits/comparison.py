"""Several ways to the same shape, each trained several times, and whether one of them is better than another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError

__all__ = ["STANDARD_ERRORS", "Arm", "Difference", "lower_error", "pooled"]

STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One way to train a shape: which test images each repeat gets wrong, shape (repeats, images), and what it took.

    `compute` is in shares of the unpruned network's own training.
    """

    name: str
    wrong: NDArray[np.bool_]
    epochs: float
    compute: float

    def __post_init__(self) -> None:
        if self.wrong.ndim != 2 or not self.wrong.size:
            raise ContractError(f"{self.name}: expected repeats by images, found shape {self.wrong.shape}")

    @property
    def errors(self) -> FloatArray:
        """The error of each repeat, shape (repeats,)."""
        return np.asarray(self.wrong.mean(axis=1))

    @property
    def error(self) -> float:
        """The mean error."""
        return float(self.errors.mean())

    @property
    def spread(self) -> float | None:
        """The standard deviation from repeat to repeat; None for one repeat."""
        return float(self.errors.std(ddof=1)) if len(self.errors) > 1 else None


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the error of one arm is above that of another, and the standard error of that."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, other: Arm, own: Arm) -> Difference:
        """Return how much higher the error of `other` is than that of `own`.

        The standard error pools the spread of repeats and that of images: the same test images judge both, so what
        counts is how much their differences vary.
        """
        repeats = sum((arm.spread or 0.0) ** 2 / len(arm.errors) for arm in (other, own))
        by_image = other.wrong.mean(axis=0) - own.wrong.mean(axis=0)
        images = float(by_image.var(ddof=1)) / len(by_image) if len(by_image) > 1 else 0.0
        return cls(other.error - own.error, math.sqrt(repeats + images))

    @property
    def low(self) -> float:
        """Two standard errors below."""
        return self.value - STANDARD_ERRORS * self.standard_error

    @property
    def high(self) -> float:
        """Two standard errors above."""
        return self.value + STANDARD_ERRORS * self.standard_error


def lower_error(arms: Sequence[Arm]) -> Arm:
    """Return the arm with the lowest mean error, the first of equal ones."""
    return min(arms, key=lambda arm: arm.error)


def pooled(name: str, arms: Sequence[Arm]) -> Arm:
    """Return arms that are draws of the same control as one."""
    return Arm(name, np.concatenate([arm.wrong for arm in arms]), arms[0].epochs, arms[0].compute)
