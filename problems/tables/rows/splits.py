"""Which rows a search may learn on, choose on and report on; and the folds it is led by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.rows.given_splits import GivenSplits, checked_splits
from emoprune.problems.tables.table import Table, Task

__all__ = ["Block", "Parts", "SplitKind", "Splits", "folds_of", "kind_of", "split"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

SplitKind = Literal["auto", "stratified", "random", "grouped", "time"]

FEWEST = 1  # rows to learn on, and to score


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows to learn on and other rows to score, under a name by which what was learnt is kept."""

    key: str
    train: IntArray
    scored: IntArray


@dataclass(frozen=True, slots=True)
class Splits:
    """How a table is cut: into which shares, along what, and into how many folds of the rows to search on.

    `auto` keeps groups together if there are any, goes by time if there is one, and otherwise gives each part the same
    mixture of classes. With one fold the last quarter of the rows to search on is held out.

    A splitter or pairs of rows give the folds of the rows to search on, as many as they have. The rows to select and to
    test on are cut off before: the last ones where every fold learns on rows before those that it scores, and else as
    `auto` does.
    """

    kind: SplitKind | GivenSplits = "auto"
    select: float = 0.2
    test: float = 0.2
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        checked_splits(self.kind, SplitKind)
        for name in ("select", "test"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a share between 0 and 1, found {getattr(self, name)}")
        if self.select + self.test > 0.8:
            raise ConfigError(
                f"select and test: expected at most 0.8 together, found {self.select + self.test:g}; nothing is left "
                "to learn on"
            )
        if self.folds < 1:
            raise ConfigError(f"folds: expected at least 1, found {self.folds}")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Three parts that share no row, and the folds of the first.

    What is scored on `select` or `test` is learnt on all rows of `search`.
    """

    search: IntArray
    select: Block
    test: Block
    folds: tuple[Block, ...]


def split(table: Table, splits: Splits) -> Parts:
    """Cut a table's rows; the same table and options give the same parts.

    Raises:
        ConfigError: There are too few rows or groups.
    """
    kind = kind_of(table, splits)
    rng = np.random.default_rng(splits.seed)
    numbers = np.array([1 - splits.select - splits.test, splits.select, splits.test])
    parts = _shares(table, np.arange(len(table)), numbers, kind, rng)
    search, select, test = (np.sort(part) for part in parts)
    _check(table, parts, "three parts")
    if isinstance(splits.kind, GivenSplits):
        folds = _given_folds(table, search, splits.kind, splits.seed, name="fold")
    else:
        folds = _folds(table, search, splits.folds, kind, rng=rng, name="fold")
    return Parts(search, Block("search", search, select), Block("search", search, test), folds)


def folds_of(table: Table, rows: IntArray, splits: Splits, seed: int) -> tuple[Block, ...]:
    """Return folds of some rows, cut the same way but with another seed; given ones as far as these rows have them."""
    name = f"seed {seed}, fold"
    if isinstance(splits.kind, GivenSplits):
        return _given_folds(table, rows, splits.kind, seed, name=name)
    kind = kind_of(table, splits)
    return _folds(table, rows, splits.folds, kind, rng=np.random.default_rng(seed), name=name)


def kind_of(table: Table, splits: Splits) -> SplitKind:
    """Return how a table's rows are cut: `auto` and given splits by what they come to.

    Raises:
        ConfigError: It is to be cut by groups and has none.
    """
    kind: SplitKind = "auto" if isinstance(splits.kind, GivenSplits) else splits.kind
    if isinstance(splits.kind, GivenSplits) and splits.kind.go_forward(table, splits.seed):
        return "time"
    if kind == "grouped" and table.groups is None:
        raise ConfigError("splits: expected a `groups` column to split by groups, found none")
    if kind != "auto":
        return kind
    if table.groups is not None:
        return "grouped"
    return "random" if table.task is Task.REGRESSION else "stratified"


def _given_folds(table: Table, rows: IntArray, given: GivenSplits, seed: int, *, name: str) -> tuple[Block, ...]:
    pairs = given.folds(table, rows, seed)
    if not pairs or min(len(part) for pair in pairs for part in pair) < FEWEST:
        raise ConfigError(
            f"splits: {given.name} leave no rows to learn on or to score among the {len(rows)} rows to search on; give "
            "others, or lower select and test"
        )
    return tuple(Block(f"{name} {number}", train, scored) for number, (train, scored) in enumerate(pairs))


def _folds(
    table: Table, rows: IntArray, count: int, kind: SplitKind, *, rng: np.random.Generator, name: str
) -> tuple[Block, ...]:
    if kind == "time":
        chunks = np.array_split(rows, count + 1) if count > 1 else [*np.split(rows, [3 * len(rows) // 4])]
        pairs = [(np.concatenate(chunks[: turn + 1]), chunks[turn + 1]) for turn in range(len(chunks) - 1)]
    else:
        shares = np.full(count, 1 / count) if count > 1 else np.array([0.25, 0.75])
        pieces = _shares(table, rows, shares, kind, rng)
        scored = pieces if count > 1 else pieces[:1]
        pairs = [(np.setdiff1d(rows, piece), np.sort(piece)) for piece in scored]
    _check(table, [each for pair in pairs for each in pair], f"{count} folds")
    return tuple(Block(f"{name} {number}", train, scored) for number, (train, scored) in enumerate(pairs))


def _check(table: Table, parts: list[IntArray], what: str) -> None:
    if min(map(len, parts)) < FEWEST:
        raise ConfigError(
            f"data: {len(table)} rows are too few for {what}, one would have {min(map(len, parts))}; give more rows or "
            "ask for fewer folds"
        )


def _shares(
    table: Table, rows: IntArray, shares: FloatArray, kind: SplitKind, rng: np.random.Generator
) -> list[IntArray]:
    """Cut rows into parts of these shares."""
    if kind == "time":
        return list(np.split(rows, np.round(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)))
    if kind == "grouped":
        return _whole_groups(table, rows, shares, rng)
    shuffled = rng.permutation(rows)
    if kind == "stratified":
        shuffled = shuffled[np.argsort(table.target[shuffled], kind="stable")]
    turns = _turns(len(rows), shares)
    return [shuffled[turns == part] for part in range(len(shares))]


def _turns(count: int, shares: FloatArray) -> IntArray:
    """Deal places out so that every stretch of them holds the parts in their shares, as nearly as can be."""
    given = np.zeros(len(shares))
    turns = np.empty(count, dtype=np.int64)
    for place in range(count):
        given += shares
        turns[place] = int(np.argmax(given))
        given[turns[place]] -= 1
    return turns


def _whole_groups(table: Table, rows: IntArray, shares: FloatArray, rng: np.random.Generator) -> list[IntArray]:
    """Deal whole groups out, the largest first, each to the part that lacks most."""
    if table.groups is None:
        raise ConfigError("splits: expected a `groups` column to split by groups, found none")
    own = table.groups[rows]
    groups, sizes = np.unique(own, return_counts=True)
    if len(groups) < len(shares):
        raise ConfigError(f"groups: expected at least {len(shares)} groups to split by, found {len(groups)}")
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    lacking = shares * len(rows)
    part_of = np.full(len(groups), -1, dtype=np.int64)
    for place in order:
        empty = np.setdiff1d(np.arange(len(shares)), part_of)
        last = len(groups) - np.count_nonzero(part_of >= 0) == len(empty)  # of the groups: each part has to get one
        part_of[place] = int(empty[np.argmax(lacking[empty])] if last else np.argmax(lacking))
        lacking[part_of[place]] -= sizes[place]
    part = part_of[np.searchsorted(groups, own)]
    return [rows[part == number] for number in range(len(shares))]
