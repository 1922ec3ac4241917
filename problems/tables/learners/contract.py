"""What a learner promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Table, Task

__all__ = ["Growing", "Learner", "Model", "balanced_weights", "training_weights"]

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


@runtime_checkable
class Growing(Protocol):
    """A learner whose models are trained step by step: more columns may want less of it, or more."""

    def stages(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> Iterator[Model]:
        """Yield the model of `fitted` as it is after some of its training, in full, and after more of it."""
        ...


def balanced_weights(table: Table, block: Block) -> FloatArray:
    """Return a weight per training row that gives every class the same sum; the mean is 1."""
    if table.task is Task.REGRESSION:
        return np.ones(0)
    classes, weights = table.target[block.train].astype(np.int64), table.weights_of(block.train)
    own = np.ones(len(classes)) if weights is None else weights
    sums = np.bincount(classes, own, minlength=len(table.classes))
    present = int((sums > 0).sum())
    return np.asarray(len(classes) * own / (present * np.where(sums > 0, sums, 1.0)[classes]))


def training_weights(table: Table, block: Block, *, balanced: bool) -> FloatArray | None:
    """Return a weight per training row, those of the table or those that balance its classes; None for all alike."""
    found = balanced_weights(table, block) if balanced else np.ones(0)
    return found if len(found) else table.weights_of(block.train)
