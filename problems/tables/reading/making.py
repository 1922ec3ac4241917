"""Plain columns and a target made into a table: kinds found, what is of no use left out, what is wrong refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.frames import PlainColumns
from emoprune.problems.tables.standalone.features import Values, coded
from emoprune.problems.tables.table import ColumnKind, Table, TableColumn, Task

__all__ = ["TaskName", "Wanted", "table_of"]

TaskName = Literal["auto", "classification", "regression"]

ORDINAL_LEVELS = 100  # so many different numbers at most make an ordinal column, as in OpenFE
ROWS_PER_LEVEL = 5  # ... seen so often on average: groups of one or two rows only memorise
TEXT_SHARE = 0.5  # of rows with different texts: not categories but text or an identifier
TEXT_LEVELS = 20
CLASS_LEVELS = 20
ROWS_PER_CLASS = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a table is to be made: the task, columns that are categories although numbers, columns to leave out."""

    task: TaskName = "auto"
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


def table_of(
    columns: PlainColumns,
    target: NDArray[Any],
    wanted: Wanted,
    *,
    groups: NDArray[Any] | None = None,
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
    missing = [name for name in wanted.categorical if name not in columns]
    if missing:
        raise ConfigError(f"categorical: there is no column {missing[0]!r}; found {', '.join(list(columns)[:20])}")
    task, numbers, classes = _target(target, wanted.task)
    kept: list[tuple[TableColumn, Values]] = []
    notes: list[str] = []
    for name, column in columns.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted.ignore):
            continue
        useless = _useless(column, forced=name in wanted.categorical)
        if useless:
            notes.append(f"{name} is left out: {useless}.")
            continue
        made = _column(name, column, categorical=name in wanted.categorical)
        copy = _copy(made, numbers, classes)
        if copy and copies == "refuse":
            raise ConfigError(f"data: column {copy}; remove it, or name it in `ignore`")
        notes += [f"Column {copy}."] if copy else []
        kept.append(made)
    if not kept:
        said = " ".join(notes[:5]) or "There are none."
        raise ConfigError(f"data: expected at least one column that can be a feature, found none. {said}")
    made_columns, values = zip(*kept, strict=True)
    codes = None if groups is None else np.unique(groups.astype(str), return_inverse=True)[1].astype(np.int64)
    return Table(tuple(made_columns), tuple(values), numbers, task, classes, codes, tuple(notes))


def _target(target: NDArray[Any], wanted: TaskName) -> tuple[Task, NDArray[np.float64], tuple[str, ...]]:
    of_numbers = target.dtype.kind == "f"
    missing = np.isnan(target) if of_numbers else np.array([value is None for value in target])
    if missing.any():
        raise ConfigError(
            f"target: expected a value in every row, found {int(missing.sum())} missing ones; drop these rows"
        )
    if of_numbers and np.isinf(target).any():
        raise ConfigError("target: expected finite values, found infinite ones; drop or replace these rows")
    found, places = np.unique(target if of_numbers else target.astype(str), return_inverse=True)
    whole = not of_numbers or bool((found == np.floor(found)).all())
    few = not of_numbers or (whole and len(found) <= max(2, min(CLASS_LEVELS, len(target) // ROWS_PER_CLASS)))
    if wanted == "regression" or (wanted == "auto" and not few):
        if not of_numbers:
            raise ConfigError(f"target: expected numbers for a regression, found texts such as {str(found[0])!r}")
        if len(found) < 2:
            raise ConfigError(
                f"target: expected different values, found only {found[0]:g}; there is nothing to predict"
            )
        return Task.REGRESSION, target, ()
    if len(found) < 2:
        raise ConfigError(f"target: expected at least two classes, found one class, {_shown(found[0])!r}")
    if len(found) > len(target) / 2:
        raise ConfigError(
            f"target: expected classes with several rows each, found {len(found)} classes in {len(target)} rows; "
            "set task: regression"
        )
    task = Task.BINARY if len(found) == 2 else Task.MULTICLASS
    return task, places.astype(np.float64), tuple(map(_shown, found))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _useless(column: NDArray[Any], *, forced: bool) -> str | None:
    """Say why a column is of no use; None if it may be of some."""
    if column.dtype.kind == "f":
        present = column[~np.isnan(column)]
        if not len(present):
            return "all of its values are missing"
        return f"it is constant, {present[0]:g}" if len(present) == len(column) and np.ptp(present) == 0 else None
    present = column[np.array([value is not None for value in column])].astype(str)
    if not len(present):
        return "all of its values are missing"
    levels = len(set(present.tolist()))
    if levels == 1 and len(present) == len(column):
        return f"it is constant, {str(present[0])!r}"
    if levels > TEXT_SHARE * len(present) and levels > TEXT_LEVELS and not forced:
        return (
            f"{levels} different texts in {len(present)} rows are no categories; name it in `categorical` if they are"
        )
    return None


def _column(name: str, column: NDArray[Any], *, categorical: bool) -> tuple[TableColumn, Values]:
    if column.dtype.kind != "f":
        texts = sorted({str(value) for value in column if value is not None})
        return _coded(TableColumn(name, ColumnKind.CATEGORICAL, tuple(texts)), column)
    if np.isinf(column).any():
        raise ConfigError(
            f"data: column {name!r}: expected finite or missing values, found {int(np.isinf(column).sum())} infinite "
            "ones; replace them"
        )
    found = np.unique(column[~np.isnan(column)])
    if categorical:
        return _coded(TableColumn(name, ColumnKind.CATEGORICAL, tuple(found.tolist())), column)
    if len(found) <= min(ORDINAL_LEVELS, len(column) / ROWS_PER_LEVEL):
        return _coded(TableColumn(name, ColumnKind.ORDINAL, tuple(found.tolist())), column)
    return TableColumn(name, ColumnKind.NUMERICAL), Values(column)


def _coded(column: TableColumn, array: NDArray[Any]) -> tuple[TableColumn, Values]:
    numbers = array if column.kind is ColumnKind.ORDINAL else None
    return column, Values(numbers, coded(array, column.categories), len(column.categories))


def _copy(made: tuple[TableColumn, Values], target: NDArray[np.float64], classes: Sequence[str]) -> str | None:
    """Say that a column tells the target one to one; None if it does not."""
    column, values = made
    if values.numbers is not None and np.array_equal(values.numbers, target):
        return f"{column.name!r} is the target itself"
    if classes and values.codes is not None and len(column.categories) == len(classes):
        joint = np.unique(np.column_stack([values.codes, target]), axis=0)
        if len(joint) == len(classes):
            return f"{column.name!r} tells the class of every row, as a copy of the target would"
    return None
