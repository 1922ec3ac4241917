"""What a measure sees of a subset of columns, and what one promises that needs no model.

The metric is none of these measures: it is a scorer of predictions, with scikit-learn's names, and leads the search,
its races, references and audits. A measure is called with what was chosen, and, unless it is counted, with what was
trained on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Measure
from emoprune.errors import ContractError
from emoprune.problems.tables.formulas.formula import Term, sources
from emoprune.problems.tables.learners.contract import Model
from emoprune.problems.tables.table import Table

__all__ = ["Counted", "Seen", "Trained"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What was trained on the inputs, and what it says of rows that it did not see.

    Args:
        target: What these rows really are, shape (n,): numbers, or classes as places in `Table.classes`.
        predictions: Numbers, shape (n,), or probabilities of classes, shape (n, classes); of all folds or windows, one
            after another.
        model: The last model that was trained.
        by_row: Returns a function that predicts one held-out row from the table's columns as a user has them, given any
            number, which may stand for a row.
    """

    target: FloatArray
    predictions: FloatArray
    model: Model
    by_row: Callable[[], Callable[[int], FloatArray]]


@dataclass(frozen=True, eq=False)
class Seen:
    """A subset of columns and features, as measures see it.

    Args:
        table: The table.
        terms: The inputs of the model: columns, and formulas of columns. Of a stream those that are kept last.
        windows: Of a stream the places among its columns of numbers that are kept after each window, shape (kept,)
            each; of other tables none.
        after: What was trained; None for a measure that is counted.
    """

    table: Table
    terms: tuple[Term, ...]
    windows: tuple[IntArray, ...] = ()
    after: Trained | None = None

    @cached_property
    def sources(self) -> frozenset[str]:
        """The names of the table's columns that the inputs are computed from; of parts of a date the date's."""
        known = {column.name: column.source for column in self.table.columns}
        return frozenset(known.get(name, name) for term in self.terms for name in sources(term))

    @property
    def trained(self) -> Trained:
        """What was trained on the inputs.

        Raises:
            ContractError: The measure is one that is counted before anything is trained.
        """
        if self.after is None:
            raise ContractError("a measure that has `worst` is counted before anything is trained; remove `worst`")
        return self.after


@runtime_checkable
class Counted(Measure[Seen], Protocol):
    """A measure that the inputs alone tell, without a model.

    So it is known before anything is trained, and a subset can be dropped in a race against a reference that costs no
    more. A measure without `worst` is taken after training, and where there is one all subsets are measured in full.
    """

    def worst(self, whole: Seen) -> float:
        """Return the value worth measuring from, which is that of all columns of the table."""
        ...
