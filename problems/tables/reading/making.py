"""Plain columns and a target made into a table: kinds found, what is of no use left out, what is wrong refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.becoming import Made, present_in, read_column
from emoprune.problems.tables.reading.frames import PlainColumns
from emoprune.problems.tables.reading.targets import TaskName, target_of
from emoprune.problems.tables.reading.wanted import Wanted
from emoprune.problems.tables.table import Table

__all__ = ["TaskName", "Wanted", "table_of", "without_columns"]

INDEX = ("", "Unnamed: 0", "__index_level_0__", "index", "level_0")  # what a written index is called


def table_of(
    columns: PlainColumns,
    target: NDArray[Any],
    wanted: Wanted,
    *,
    groups: NDArray[Any] | None = None,
    weights: NDArray[np.float64] | None = None,
    copies: Literal["refuse", "warn"] = "refuse",
) -> Table:
    """Return the checked table of plain columns and a plain target, each of n rows.

    A column that is the target itself is refused, or else noted.

    Raises:
        ConfigError: There are no rows or no columns of use, one class, missing or infinite values where none may be,
            or a column that is the target.
    """
    if not len(target):
        raise ConfigError("data: expected rows, found none")
    for option, named in (("categorical", wanted.categorical), ("text", wanted.text or ())):
        missing = [name for name in named if name not in columns]
        if missing:
            raise ConfigError(f"{option}: there is no column {missing[0]!r}; found {', '.join(list(columns)[:20])}")
    task, goal, classes = target_of(target, wanted.task)
    read = {name: read_column(name, column, wanted) for name, column in columns.items() if not wanted.ignores(name)}
    made = _called_apart([each for own in read.values() for each in own.made])
    notes = [note for own in read.values() for note in own.notes]
    texts = {name: own.text for name, own in read.items() if own.text is not None}
    numbering = [name for name in _numbering(columns) if not wanted.ignores(name)]
    notes += [f"Column {name!r} numbers the rows; leave it out if their order says nothing." for name in numbering]
    for each in made:
        copy = _copy(each, goal, classes)
        if copy and copies == "refuse":
            raise ConfigError(f"data: column {copy}; remove it, or name it in `ignore`")
        notes += [f"Column {copy}."] if copy else []
    if not made:
        said_first = " ".join(notes[:5]) or "There are none."
        raise ConfigError(f"data: expected at least one column that can be a feature, found none. {said_first}")
    names, values = zip(*made, strict=True)
    codes, counted = _group_codes(groups, len(goal)), _checked_weights(weights, len(goal))
    return Table(tuple(names), tuple(values), goal, task, classes, codes, tuple(notes), counted, texts)


def _called_apart(made: Sequence[Made]) -> list[Made]:
    """Return columns of which no part of a date or of a text has the name of a column that was given."""
    taken = {column.name for column, _ in made if not column.of or column.name == column.of}
    found: list[Made] = []
    for column, values in made:
        own, number = column, 2
        while column.of and column.name != column.of and own.name in taken:
            own, number = replace(column, name=f"{column.name} #{number}"), number + 1
        taken.add(own.name)
        found.append((own, values))
    return found


def _numbering(columns: PlainColumns) -> list[str]:
    """Return the names of columns that are an index with which a frame was written: the rows, counted."""
    counted = [name for name in INDEX if name in columns and columns[name].dtype.kind == "f"]
    return [name for name in counted if bool((np.diff(columns[name]) == 1).all())]


def without_columns(
    target: NDArray[Any],
    wanted: Wanted,
    *,
    groups: NDArray[Any] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Table:
    """Return a table of a target alone, to draw rows from before columns are read; raises as `table_of`."""
    if not len(target):
        raise ConfigError("data: expected rows, found none")
    task, goal, classes = target_of(target, wanted.task)
    codes, counted = _group_codes(groups, len(goal)), _checked_weights(weights, len(goal))
    return Table((), (), goal, task, classes, codes, weights=counted)


def _checked_weights(weights: NDArray[np.float64] | None, rows: int) -> NDArray[np.float64] | None:
    """Return weights of mean 1; None if all rows count alike, so that they change nothing to the bit."""
    if weights is None:
        return None
    if weights.shape != (rows,):
        raise ConfigError(f"weights: expected a sample_weight for each of {rows} rows, found shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ConfigError("weights: expected finite weights, no weight below zero and not all of them zero")
    return None if np.ptp(weights) == 0 else weights / weights.mean()


def _group_codes(groups: NDArray[Any] | None, rows: int) -> NDArray[np.int64] | None:
    if groups is None:
        return None
    if len(groups) != rows:
        raise ConfigError(f"groups: expected one for each of {rows} rows, found {len(groups)}; give them row by row")
    unknown = rows - int(present_in(groups).sum())
    if unknown:
        raise ConfigError(
            f"groups: expected one for each row, found none for {unknown} of {rows} rows; leave these out, or give "
            "each a group of its own if they belong together with no others"
        )
    return np.unique(groups.astype(str), return_inverse=True)[1].astype(np.int64)


def _copy(made: Made, target: NDArray[np.float64], classes: Sequence[str]) -> str | None:
    """Say that a column tells the target one to one; None if it does not."""
    column, values = made
    if values.numbers is not None and np.array_equal(values.numbers, target):
        return f"{column.name!r} is the target itself"
    if classes and values.codes is not None and len(column.categories) == len(classes):
        joint = np.unique(np.column_stack([values.codes, target]), axis=0)
        if len(joint) == len(classes):
            return f"{column.name!r} tells the class of every row, as a copy of the target would"
    return None
