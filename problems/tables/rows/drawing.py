"""Which rows of a large table a search looks at: drawn with the classes alike, evenly in time, or whole groups."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.rows.splits import Splits, kind_of
from emoprune.problems.tables.table import Table, Task

__all__ = ["BY_DEFAULT", "Drawing", "Drawn"]

IntArray = NDArray[np.int64]

BY_DEFAULT = 100_000
FEWEST = 20  # rows that a table can be cut from
OF_ONE_KIND = 20  # rows of a rare class at least, or all that it has
OF_ROWS = 20  # groups that fit into the rows to draw at least; larger ones would leave too few of them to be split


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The places of the rows that were drawn, in ascending order, and a sentence that says so."""

    places: IntArray
    said: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """At how many rows a search looks, None for all, and how these will be cut."""

    rows: int | None = None
    splits: Splits = field(default_factory=Splits)

    def __post_init__(self) -> None:
        whole = isinstance(self.rows, int | np.integer) and not isinstance(self.rows, bool)
        if self.rows is not None and not (whole and self.rows >= FEWEST):
            raise ConfigError(f"rows: expected a number of at least {FEWEST}, or None for all, found {self.rows!r}")

    def leaves(self, count: int) -> bool:
        """Whether rows of so many are left out."""
        return self.rows is not None and count > self.rows

    def of(self, table: Table) -> Drawn:
        """Draw rows of a table that has more of them; the same table, of which no column is looked at, gives the same.

        Rows keep their order. Of each class as large a share is drawn as of all rows, but of a rare one at least 20
        rows. Groups are drawn whole, unless one of them is larger than a twentieth of what is drawn: then each gives as
        large a share of its rows. Where later rows are held out, rows are taken evenly.
        """
        rows, count = int(self.rows or len(table)), len(table)
        kind, rng = kind_of(table, self.splits), np.random.default_rng(self.splits.seed)
        if kind == "time":
            places, how = np.arange(rows) * count // rows, "taken evenly in their order"
        elif kind == "grouped" and table.groups is not None:
            places, how = _of_groups(table.groups, rows, rng)
        elif table.task is Task.REGRESSION:
            places, how = rng.choice(count, rows, replace=False), "drawn at random"
        else:
            places, how = _alike(table.target.astype(np.int64), rows, rng), "drawn with the classes in their shares"
        said = f"The search looks at {len(places):,} of {count:,} rows, {how}; `rows` says at how many."
        return Drawn(np.sort(places), said)


def _of_groups(groups: IntArray, rows: int, rng: np.random.Generator) -> tuple[IntArray, str]:
    sizes = np.bincount(groups)
    if sizes.max() * OF_ROWS > rows:
        return _alike(groups, rows, rng), "drawn from each group in its share, because not all would fit whole"
    order = rng.permutation(len(sizes))
    taken = order[np.cumsum(sizes[order]) <= rows]
    return np.flatnonzero(np.isin(groups, taken)), "in whole groups that are drawn at random"


def _alike(kinds: IntArray, rows: int, rng: np.random.Generator) -> IntArray:
    """Return places of rows at random, of each kind in its share."""
    quotas = _quotas(np.bincount(kinds), rows)
    shuffled = rng.permutation(len(kinds))
    ordered = shuffled[np.argsort(kinds[shuffled], kind="stable")]
    own = kinds[ordered]
    place_in_kind = np.arange(len(own)) - np.searchsorted(own, own)
    return ordered[place_in_kind < quotas[own]]


def _quotas(counts: IntArray, rows: int) -> IntArray:
    """Return how many rows of each kind are drawn."""
    least = min(OF_ONE_KIND, rows // (2 * len(counts)))
    rare = counts * rows < least * counts.sum()
    quotas = np.minimum(counts, least)
    left = rows - int(quotas[rare].sum())
    exact = counts[~rare] * left / counts[~rare].sum()
    shares = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: left - int(shares.sum())]] += 1  # the largest remainders
    quotas[~rare] = shares
    return quotas
