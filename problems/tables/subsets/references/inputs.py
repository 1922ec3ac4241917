"""What reference methods work with, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.formulas.formula import Formula, Term
from emoprune.problems.tables.subsets.references.information import information
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["ReferenceInputs", "Subset", "sizes"]

Subset = tuple[str, tuple[Term, ...]]  # a name, and what is kept


@dataclass(frozen=True, eq=False)
class ReferenceInputs:
    """A task on the rows to search on, and new features: OpenFE's plain answer, and those that have a bit each."""

    task: TableTask
    loaded: Loaded
    openfe: Sequence[Formula]
    survivors: Sequence[Formula]
    seed: int

    @property
    def columns(self) -> tuple[Term, ...]:
        """The table's columns."""
        return self.task.table.terms

    @cached_property
    def most_informative(self) -> NDArray[np.int64]:
        """The columns' places, those first that tell most of the target alone; found once for all methods."""
        found = information(self.loaded.computed, self.task.parts.select, self.columns, self.seed)
        return np.asarray(np.argsort(-found, kind="stable"))

    def rng(self, method: str) -> np.random.Generator:
        """Return a generator of a method's own, so that leaving one out does not change the others."""
        return np.random.default_rng([self.seed, *method.encode()])

    def named(self, method: str, order: Sequence[int] | NDArray[np.int64]) -> list[Subset]:
        """Return the first half, quarter and eighth of the columns in an order, each by a name with its size."""
        return [
            (f"{method}-{size}", tuple(self.columns[place] for place in sorted(order[:size])))
            for size in sizes(len(self.columns))
        ]


def sizes(columns: int) -> list[int]:
    """Return half, a quarter and an eighth of a number of columns, each once and at least 1."""
    return [size for size in dict.fromkeys(columns // share for share in (2, 4, 8)) if size]
