"""What measures see of rows that stay, and the measures that come with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Paper, about
from emoprune.problems.samples.genes import Kept
from emoprune.space import IntArray

__all__ = ["DATA_PRUNING", "Error", "KeptRows", "Seen", "TrainingCompute"]

DATA_PRUNING = Paper("Distilling the Knowledge in Data Pruning", "2403.07854")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Rows that stay, and what the student that learnt from them says of held-out rows.

    Attributes:
        kept: Which stay.
        features: How many features a row has.
        probabilities: Of each class, shape (held out, classes).
        labels: What they are, shape (held out,).
        teacher_cost: Multiply-accumulates that the teacher takes for one row, nought where it is a file.
    """

    kept: Kept
    features: int
    probabilities: NDArray[np.float64]
    labels: IntArray
    teacher_cost: float


@about("measurement", ["rows"], serves=["samples"], cost="one closed-form fit of the student")
class Error:
    """The share of held-out rows that the student classifies wrongly."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    worst: ClassVar[float] = 1.0

    def __call__(self, seen: Seen) -> float:
        """Return the share."""
        return float(np.mean(seen.probabilities.argmax(axis=1) != seen.labels))


@about("measurement", ["rows"], serves=["samples"], cost="a count; nothing is run")
class KeptRows:
    """How many training rows stay."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(len(seen.kept.rows))


@about("measurement", ["rows"], serves=["samples"], cost="a count; nothing is run")
class TrainingCompute:
    """Multiply-accumulates to train the student in closed form, and to ask the teacher where it is heard."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return rows times squared features, and the teacher's part."""
        rows = len(seen.kept.rows)
        asked = rows * seen.teacher_cost if seen.kept.teacher > 0 else 0.0
        return float(rows * (seen.features + 1) ** 2 + asked)
