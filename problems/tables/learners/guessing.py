"""What is predicted where no input is left to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Table, Task

__all__ = ["Guess"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """The mean of the training rows, or the frequencies of their classes, whatever the inputs say.

    `level` is a number, shape (), or the frequencies, shape (classes,); `inputs` counts what is not looked at.
    """

    level: FloatArray
    inputs: int = 0

    @classmethod
    def of(cls, table: Table, block: Block, inputs: int = 0) -> Guess:
        """Learn from the block's training rows."""
        known, weights = table.target[block.train], table.weights_of(block.train)
        if table.task is Task.REGRESSION:
            return cls(np.asarray(np.average(known, weights=weights)), inputs)
        counts = np.bincount(known.astype(np.int64), weights, minlength=len(table.classes))
        return cls(counts / counts.sum(), inputs)

    @property
    def importances(self) -> FloatArray:
        """Zero for every input."""
        return np.zeros(self.inputs)

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return the same for every row: numbers, shape (n,), or probabilities, shape (n, classes)."""
        return np.broadcast_to(self.level, (len(inputs), *self.level.shape)).copy()

    def write(self, folder: Path) -> str | None:  # noqa: ARG002  # there is nothing that is worth a file
        """Write nothing."""
        return None
