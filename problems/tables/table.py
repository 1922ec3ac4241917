"""A table in memory: columns as numbers or codes, the target, and what a person should know of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.formulas.catalogue import Kinds
from emoprune.problems.tables.formulas.formula import Column
from emoprune.problems.tables.standalone.features import Values
from emoprune.problems.tables.standalone.texts import FreeText, is_theme

__all__ = ["ColumnKind", "Table", "TableColumn", "Task"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class ColumnKind(StrEnum):
    """What a column holds: numbers, few different numbers that are categories as well, or categories."""

    NUMERICAL = "numerical"
    ORDINAL = "ordinal"
    CATEGORICAL = "categorical"


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column's name, kind and (unless it is numerical) its categories, sorted, all texts or all numbers.

    A part of a date or of a text also says of which column. `form` says how dates are written where texts are not ISO
    8601, or numbers where they are not written as Python does, as `1.234,5 in %`.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] | tuple[float, ...] = ()
    of: str = field(
        default="", repr=False
    )  # not in digests of tables without dates, which runs of earlier versions hold
    part: str = field(default="", repr=False)  # likewise
    form: str = field(default="", repr=False)  # likewise

    @property
    def source(self) -> str:
        """The name under which a frame has what it is read from."""
        return self.of or self.name

    def as_plain(self) -> dict[str, Any]:
        """Return the record that an exported plan holds."""
        plain: dict[str, Any] = {"name": self.name, "kind": self.kind.value}
        if self.kind is not ColumnKind.NUMERICAL:
            plain["categories"] = list(self.categories)
        dated = {"of": self.of, "part": self.part, "format": self.form}
        return plain | {name: value for name, value in dated.items() if value}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns with their values and the target, row by row.

    Args:
        columns: In the order in which they came.
        values: One per column, each of n rows.
        target: Shape (n,): numbers, or a class's place in `classes`.
        task: What is predicted.
        classes: The target's classes, sorted; none for numbers.
        groups: Rows of equal groups (patients, users) stay together when the table is split; None if there are none.
        notes: Sentences on what was left out or converted.
        weights: What each row counts, in training and in scores, shape (n,), with a mean of 1; None if all count alike.
        texts: The columns of free texts that some of `columns` are parts of, by name.
        drawn_from: Of rows that were drawn from others, a digest of the target, groups and weights of all of them.
    """

    columns: tuple[TableColumn, ...]
    values: tuple[Values, ...]
    target: FloatArray
    task: Task
    classes: tuple[str, ...] = ()
    groups: IntArray | None = None
    notes: tuple[str, ...] = ()
    weights: FloatArray | None = None
    texts: Mapping[str, FreeText] = field(default_factory=dict)
    drawn_from: str = ""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def terms(self) -> tuple[Column, ...]:
        """The columns as features."""
        return tuple(Column(name) for name in self.names)

    @property
    def kinds(self) -> Kinds:
        """Which columns formulas are made of: those that are numbers, and those that are categories.

        Themes of texts are none of them: they are so many that formulas of them would take the place of all others.
        """
        numbers = [c.name for c in self.columns if c.kind is not ColumnKind.CATEGORICAL and not is_theme(c.part)]
        categories = [c.name for c in self.columns if c.kind is not ColumnKind.NUMERICAL]
        return Kinds(tuple(map(Column, numbers)), tuple(map(Column, categories)))

    def by_name(self) -> Mapping[str, Values]:
        """Return the values of each column by its name."""
        return dict(zip(self.names, self.values, strict=True))

    def with_target(self, target: FloatArray) -> Table:
        """Return the same columns with another target, such as a permuted one."""
        return replace(self, target=target)

    def weights_of(self, rows: IntArray) -> FloatArray | None:
        """Return what some rows count; None if all count alike."""
        return None if self.weights is None else self.weights[rows]

    def digest(self) -> str:
        """Return a digest of everything in it but the notes."""
        digest = hashlib.sha256(repr([self.columns, self.task, self.classes]).encode())
        dates = [(column.of, column.part, column.form) for column in self.columns if column.of]
        digest.update(repr(dates).encode() if dates else b"")
        digest.update(self.drawn_from.encode())
        for array in self._arrays():
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _arrays(self) -> Iterator[NDArray[Any]]:
        for values in self.values:
            yield from (array for array in (values.numbers, values.codes) if array is not None)
        yield self.target
        yield from (array for array in (self.groups, self.weights) if array is not None)
