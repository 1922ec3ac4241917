"""What a learner promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.splits import Block
from emoprune.problems.tables.table import Table, Task

__all__ = ["Learner", "Model", "balanced_weights"]

FloatArray = NDArray[np.float64]


class Model(Protocol):
    """A trained learner."""

    @property
    def importances(self) -> FloatArray:
        """How much the model relies on each input, shape (inputs,)."""
        ...

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return numbers, shape (n,), or probabilities, shape (n, classes), for inputs of shape (n, inputs)."""
        ...

    def write(self, folder: Path) -> str | None:
        """Write the model into a folder, loadable without emoprune; return the file's name, None if it has no form."""
        ...


class Learner(Protocol):
    """Trains models; the same features, rows and seed give the same model."""

    def fitted(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> Model:
        """Return a model trained on the block's training rows with these features, at least one."""
        ...


def balanced_weights(table: Table, block: Block) -> FloatArray:
    """Return a weight per training row that gives every class the same sum; the mean is 1."""
    classes = table.target[block.train].astype(np.int64)
    counts = np.bincount(classes, minlength=len(table.classes))
    present = int((counts > 0).sum())
    return np.asarray(len(classes) / (present * counts[classes])) if table.task is not Task.REGRESSION else np.ones(0)
