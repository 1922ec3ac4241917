"""What a training of the student is given, and what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.space import IntArray

__all__ = ["Case", "Student", "Trained"]

FloatArray = NDArray[np.float64]
Student = Callable[[FloatArray], FloatArray]  # features, (n, d), to probabilities, (n, classes)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Rows that stay; rows that anything is scored on are not there.

    Attributes:
        features: Shape (kept, d).
        labels: Shape (kept,).
        classes: How many there are.
        taught: The teacher's probabilities for these rows, shape (kept, classes); None without one.
        share: Of the teacher in the loss, as the genome has it.
        seed: All randomness.
    """

    features: FloatArray
    labels: IntArray
    classes: int
    taught: FloatArray | None
    share: float
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained student, and its weights by name, float32."""

    student: Student
    weights: dict[str, NDArray[np.float32]]


class SampleRecovery(Protocol):
    """Trains the student itself, not its closed form."""

    def __call__(self, case: Case) -> Trained:
        """Return the trained student."""
        ...
