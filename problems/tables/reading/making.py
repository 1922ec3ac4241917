"""Plain columns and a target made into a table: kinds found, what is of no use left out, what is wrong refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.reading.dates import parts_of
from emoprune.problems.tables.reading.frames import PlainColumns
from emoprune.problems.tables.reading.targets import TASKS, TaskName, target_of
from emoprune.problems.tables.reading.texts import Meaning, meaning_of, nearly_numbers
from emoprune.problems.tables.standalone.columns import date_text, exact
from emoprune.problems.tables.standalone.features import Values
from emoprune.problems.tables.standalone.readings import coded, label
from emoprune.problems.tables.table import ColumnKind, Table, TableColumn

__all__ = ["TaskName", "Wanted", "table_of", "without_columns"]

ORDINAL_LEVELS = 100  # so many different numbers at most make an ordinal column, as in OpenFE
ROWS_PER_LEVEL = 5  # ... seen so often on average: groups of one or two rows only memorise
TEXT_SHARE = 0.5  # of rows with different texts: not categories but text or an identifier
TEXT_LEVELS = 20

Made = tuple[TableColumn, Values]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a table is to be made: the task, columns that are categories although numbers, columns to leave out."""

    task: TaskName = "auto"
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(
                f"task: expected one of {', '.join(TASKS)}, found {self.task!r}{nearest(str(self.task), TASKS)}"
            )

    def ignores(self, name: str) -> bool:
        """Whether a column is to be left out."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)


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
    missing = [name for name in wanted.categorical if name not in columns]
    if missing:
        raise ConfigError(f"categorical: there is no column {missing[0]!r}; found {', '.join(list(columns)[:20])}")
    task, goal, classes = target_of(target, wanted.task)
    made: list[Made] = []
    notes: list[str] = []
    for name, column in columns.items():
        if not wanted.ignores(name):
            own, said = _columns(name, column, wanted)
            made += own
            notes += said
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
    return Table(tuple(names), tuple(values), goal, task, classes, codes, tuple(notes), counted)


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
    unknown = rows - int(_present(groups).sum())
    if unknown:
        raise ConfigError(
            f"groups: expected one for each row, found none for {unknown} of {rows} rows; leave these out, or give "
            "each a group of its own if they belong together with no others"
        )
    return np.unique(groups.astype(str), return_inverse=True)[1].astype(np.int64)


def _columns(name: str, column: NDArray[Any], wanted: Wanted) -> tuple[list[Made], list[str]]:
    """Return what becomes of a column (nothing, itself, or the parts of a date), and what is to be said of it."""
    category = name in wanted.categorical
    meaning = meaning_of(column, category=category)
    useless = _useless(meaning.array, forced=category)
    if useless:
        return [], [f"{name} is left out: {useless}."]
    notes = [f"{name} {meaning.said}."] if meaning.said else []
    if meaning.array.dtype.kind != "M" or category:
        return [_column(name, meaning.array, categorical=category)], notes
    return [made for made in _parts(name, meaning) if not wanted.ignores(made[0].name)], notes


def _parts(name: str, meaning: Meaning) -> Iterator[Made]:
    for own, part, values in parts_of(name, meaning.array):
        column, made = _column(own, values, categorical=False)
        yield replace(column, of=name, part=part, form=meaning.form), made


def _useless(column: NDArray[Any], *, forced: bool) -> str | None:
    """Say why a column is of no use; None if it may be of some."""
    present = column[_present(column)]
    if not len(present):
        return "all of its values are missing"
    levels = set(present.tolist()) if column.dtype.kind == "O" else np.unique(present)
    if len(levels) == 1 and len(present) == len(column):
        return f"it is constant, {_shown(present[0])}"
    many = len(levels) > TEXT_SHARE * len(present) and len(levels) > TEXT_LEVELS
    if column.dtype.kind != "O" or not many or forced:
        return None
    what = "texts" if isinstance(present[0], str) else "whole numbers"
    return (
        f"{len(levels)} different {what} in {len(present)} rows are no categories; name it in `categorical` if they are"
        f"{nearly_numbers(levels)}"
    )


def _present(column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype.kind == "O":
        return np.array([value is not None for value in column], dtype=bool)
    return np.asarray(~(np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)


def _column(name: str, column: NDArray[Any], *, categorical: bool) -> Made:
    if categorical or column.dtype.kind == "O":
        categories = _categories(column)
        codes = coded(column, categories)
        return TableColumn(name, ColumnKind.CATEGORICAL, categories), Values(None, codes, len(categories))
    if np.isinf(column).any():
        raise ConfigError(
            f"data: column {name!r}: expected finite or missing values, found {int(np.isinf(column).sum())} infinite "
            "ones; replace them"
        )
    found = np.unique(column[~np.isnan(column)])
    if len(found) > min(ORDINAL_LEVELS, len(column) / ROWS_PER_LEVEL):
        return TableColumn(name, ColumnKind.NUMERICAL), Values(column)
    levels = tuple(found.tolist())
    return TableColumn(name, ColumnKind.ORDINAL, levels), Values(column, coded(column, levels), len(levels))


def _categories(column: NDArray[Any]) -> tuple[str, ...] | tuple[float, ...]:
    """Return the different values, sorted: numbers if all of them are, exact where they are whole, and else texts."""
    present = column[_present(column)]
    if column.dtype.kind == "M":
        return tuple(map(date_text, np.unique(present)))
    values = set(present.tolist())
    if any(isinstance(value, str) for value in values):
        return tuple(sorted(map(label, values)))
    return tuple(sorted(map(exact, values)))


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
