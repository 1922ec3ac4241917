"""Splits that a user gives: a splitter of scikit-learn's, or pairs of training rows and rows to score."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.table import Table

__all__ = ["GivenSplits", "checked_splits"]

IntArray = NDArray[np.int64]
Pair = tuple[IntArray, IntArray]


@dataclass(frozen=True, slots=True, eq=False)
class GivenSplits:
    """A splitter with scikit-learn's `split(X, y, groups)`, or pairs of places of rows; `masks`: lengths of masks."""

    splitter: Any = None
    pairs: tuple[Pair, ...] = ()
    masks: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """What messages call them."""
        return "the pairs of rows" if self.splitter is None else type(self.splitter).__name__

    def folds(self, table: Table, rows: IntArray, seed: int) -> list[Pair]:
        """Return the folds of some rows, as places in the table.

        A splitter cuts these rows alone; of pairs those members are taken that are among them, and pairs of which
        nothing is left to learn on or to score are left out.

        Raises:
            ConfigError: The splitter cannot cut such rows, or the pairs do not fit the table.
        """
        if self.splitter is not None:
            cut = self._cut(table, rows, seed)
            _check(cut, len(rows))
            return [(rows[train], rows[scored]) for train, scored in cut]
        self._check_pairs(len(table))
        common = [(np.intersect1d(train, rows), np.intersect1d(scored, rows)) for train, scored in self.pairs]
        return [(train, scored) for train, scored in common if len(train) and len(scored)]

    def go_forward(self, table: Table, seed: int) -> bool:
        """Whether every fold learns on rows before those that it scores."""
        folds = self.folds(table, np.arange(len(table)), seed)
        return bool(folds) and all(train.max() < scored.min() for train, scored in folds)

    def among(self, places: IntArray, count: int) -> GivenSplits:
        """Return the splits of those rows that were drawn, at ascending places among `count` rows.

        Raises:
            ConfigError: Pairs do not fit so many rows.
        """
        if self.splitter is not None:
            return self
        self._check_pairs(count)
        new = np.full(count, -1)
        new[places] = np.arange(len(places))
        found = [(new[train], new[scored]) for train, scored in self.pairs]
        return GivenSplits(pairs=tuple((train[train >= 0], scored[scored >= 0]) for train, scored in found))

    def _check_pairs(self, rows: int) -> None:
        others = self.masks - {rows}
        if others:
            raise ConfigError(f"splits: expected masks of {rows} rows, found one of {min(others)}")
        _check(self.pairs, rows)

    def _cut(self, table: Table, rows: IntArray, seed: int) -> list[Pair]:
        splitter = copy.copy(self.splitter)
        if getattr(splitter, "random_state", 0) is None:
            splitter.random_state = seed  # otherwise the same search would not be the same again
        groups = None if table.groups is None else table.groups[rows]
        try:
            return _pairs(splitter.split(np.zeros((len(rows), 1)), table.target[rows], groups))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"splits: {self.name} cannot cut {len(rows)} rows: {error}") from error


def checked_splits(given: Any, kinds: Any) -> Any:
    """Return the name of a way to split, or the splits that are given.

    Args:
        given: A name, a splitter, or an iterable of pairs.
        kinds: The names that there are, as a literal.

    Raises:
        ConfigError: It is none of them.
    """
    names = get_args(kinds)
    if isinstance(given, GivenSplits) or (isinstance(given, str) and given in names):
        return given
    if hasattr(given, "test_fold"):
        given = given.split()  # a PredefinedSplit: it knows rows by their places, and no others
    if callable(getattr(given, "split", None)) and not isinstance(given, str | bytes | type):
        return GivenSplits(given)
    known = nearest(given, names) if isinstance(given, str) else f" (names: {', '.join(names)})"
    expected = (
        "splits: expected a name, a splitter such as KFold(), or pairs of training rows and rows to score, found "
        f"{str(given)[:80]!r}{known}"
    )
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        try:
            arrays = [(np.asarray(train), np.asarray(scored)) for train, scored in given]
            pairs = _pairs(arrays)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{expected}: {error}") from error
        if pairs:
            masks = frozenset(len(part) for pair in arrays for part in pair if part.dtype.kind == "b")
            return GivenSplits(pairs=tuple(pairs), masks=masks)
    raise ConfigError(expected)


def _pairs(given: Iterable[Sequence[Any]]) -> list[Pair]:
    return [(_places(train), _places(scored)) for train, scored in given]


def _places(rows: Any) -> IntArray:
    """Return places of rows, from places or from a mask."""
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ValueError(f"expected places of rows or a mask, found {array.dtype} of shape {array.shape}")
    return np.flatnonzero(array) if array.dtype.kind == "b" else array.astype(np.int64)


def _check(pairs: Sequence[Pair], rows: int) -> None:
    for pair in pairs:
        both = np.concatenate(pair)
        if len(both) and (both.min() < 0 or both.max() >= rows):
            raise ConfigError(f"splits: expected places of {rows} rows, found {int(both.min())} to {int(both.max())}")
        if len(np.intersect1d(*pair)):
            raise ConfigError("splits: expected no row both to learn on and to score in one pair, found one")
