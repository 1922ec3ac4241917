"""Features computed when they are asked for, with what they learn from the rows of a block, and kept while they fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.formulas.formula import Column, Term
from emoprune.problems.tables.formulas.learning import learnt_by
from emoprune.problems.tables.formulas.operators import OPERATORS
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.features import OPERATORS as COMPUTED
from emoprune.problems.tables.standalone.features import Values
from emoprune.problems.tables.table import Table

__all__ = ["MEGABYTE", "Computed", "Kept", "is_category", "learns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Item = TypeVar("Item")

MEGABYTE = 1_000_000


class Kept(Generic[Item]):
    """What was made lately, up to a number of bytes; the least recently used goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[Hashable, tuple[Item, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Item | None:
        """Return what is kept under a key, if it still is."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]

    def put(self, key: Hashable, item: Item, size: int) -> Item:
        """Keep an item of `size` bytes, and return it."""
        self._items[key] = (item, size)
        self._bytes += size
        while self._bytes > self._most and len(self._items) > 1:
            _, (_, freed) = self._items.popitem(last=False)
            self._bytes -= freed
        return item


def learns(term: Term) -> bool:
    """Whether computing a feature takes statistics of training rows."""
    if isinstance(term, Column):
        return False
    return OPERATORS[term.operator].learns or any(learns(each) for each in term.inputs)


class Computed:
    """A table's features, row by row.

    Args:
        table: The columns.
        megabytes: How much of what was computed is kept.
    """

    def __init__(self, table: Table, megabytes: float = 256.0) -> None:
        self.table = table
        self._columns = table.by_name()
        self._kept: Kept[Values] = Kept(int(megabytes * MEGABYTE))

    def values(self, term: Term, block: Block) -> Values:
        """Return a feature's values for all rows, with statistics learnt on the block's training rows."""
        if isinstance(term, Column):
            return self._columns[term.name]
        key = (term, block.key if learns(term) else None)
        found = self._kept.get(key)
        if found is not None:
            return found
        inputs = [self.values(each, block) for each in term.inputs]
        learnt = learnt_by(term.operator, [each.taken(block.train) for each in inputs]) if learns(term) else {}
        made = COMPUTED[term.operator](inputs, learnt)
        return self._kept.put(key, made, len(self.table) * 8)

    def matrix(self, terms: Sequence[Term], block: Block, rows: IntArray) -> FloatArray:
        """Return features of some rows as a model is given them, shape (rows, features)."""
        columns = [self.values(term, block).taken(rows).as_input() for term in terms]
        return np.column_stack(columns) if columns else np.zeros((len(rows), 0))

    def levels(self, term: Term, block: Block) -> int:
        """Return how many categories a categorical feature has; 0 for one that is numbers."""
        values = self.values(term, block)
        return values.levels if values.numbers is None else 0


def is_category(term: Term, table: Table) -> bool:
    """Whether a model is given a feature as a category."""
    if isinstance(term, Column):
        return table.by_name()[term.name].numbers is None
    return OPERATORS[term.operator].gives_category
