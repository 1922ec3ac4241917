"""Chosen features learnt on all rows of a frame of which the search looked at some: column by column, few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed, learns
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.formulas.formula import Term, sources
from emoprune.problems.tables.reading.lazily import columns_of, infinite_values, row_count
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import date_text, exact
from emoprune.problems.tables.standalone.features import Features, Rows, Values, encoded
from emoprune.problems.tables.standalone.readings import label, number_of
from emoprune.problems.tables.table import ColumnKind, Table, TableColumn

__all__ = ["check_all_rows", "learnt_on_all_rows"]

MEGABYTES = 64.0  # for what formulas of formulas share


def check_all_rows(frame: Any, table: Table, of_texts: Sequence[str]) -> None:
    """Refuse a frame whose other rows cannot be read as those are that were drawn; `of_texts` says which hold texts.

    Raises:
        ConfigError: A column of numbers holds infinite values, or one whose texts are read as numbers or dates others.
    """
    used = {column.source for column in table.columns}
    for name, count in infinite_values(frame).items():
        if name in used:
            raise ConfigError(
                f"data: column {name!r}: expected finite or missing values, found {count} infinite ones among all "
                "rows; replace them"
            )
    numbers = [column for column in table.columns if column.kind is not ColumnKind.CATEGORICAL]
    read = {column.source: column for column in numbers if column.source in set(of_texts) - set(table.texts)}
    for name, array in columns_of(frame, list(read)):
        try:
            encoded(read[name].as_plain(), array)
        except ValueError as error:
            raise ConfigError(
                f"data: {error}, which none of the {len(table):,} rows holds that the search looks at; replace them by "
                "gaps, or name the column in `categorical`"
            ) from error


def learnt_on_all_rows(frame: Any, table: Table, terms: Sequence[Term]) -> Features:
    """Return features with what they learn on all rows of a frame, of which only the columns that this takes are read.

    Categories that the drawn rows do not hold become categories like the others.

    Args:
        frame: What was given, with n rows.
        table: The rows that were drawn from it.
        terms: The features.
    """
    learning = {name for term in terms if learns(term) for name in sources(term)}
    named = {name for term in terms for name in sources(term)}
    columns = {column.name: column for column in table.columns}
    values: dict[str, Values] = {}
    wanted = [c for c in table.columns if c.name in learning or (c.name in named and c.kind is ColumnKind.CATEGORICAL)]
    made_of = {source: [c for c in wanted if c.source == source] for source in dict.fromkeys(c.source for c in wanted)}
    for source, array in columns_of(frame, list(made_of)):
        for column in made_of[source]:
            columns[column.name], own = _on_all_rows(column, array, table)
            if column.name in learning:
                values[column.name] = own
    rows = np.arange(row_count(frame))
    unread = Values(np.empty(0))
    complete = replace(
        table,
        columns=tuple(columns.values()),
        values=tuple(values.get(name, unread) for name in columns),
        target=np.zeros(len(rows)),
        groups=None,
        weights=None,
    )
    return features_of(Computed(complete, MEGABYTES), Block("all rows", rows, rows), terms)


def _on_all_rows(column: TableColumn, array: NDArray[Any], table: Table) -> tuple[TableColumn, Values]:
    """Return a column that knows the categories of all rows, and its values; themes of texts are those that it has."""
    themes = {name: each.themes for name, each in table.texts.items() if each.themes is not None}
    values = Rows({column.source: array}, themes).values(column.as_plain())
    if column.kind is ColumnKind.NUMERICAL or values.codes is None:
        return column, values
    unseen = values.codes > values.levels
    if not unseen.any():
        return column, values
    different = array[unseen] if values.numbers is None else values.numbers[unseen]
    whole = replace(column, categories=_joined(column.categories, different))
    return whole, encoded(whole.as_plain(), array)


def _joined(known: tuple[str, ...] | tuple[float, ...], unseen: NDArray[Any]) -> tuple[str, ...] | tuple[float, ...]:
    """Return categories, all texts or all numbers, with those that were unseen, sorted."""
    different = map(date_text, np.unique(unseen)) if unseen.dtype.kind == "M" else set(unseen.tolist())
    if isinstance(known[0], str):
        return tuple(sorted({*map(str, known), *map(label, different)}))
    numbers = {exact(number) for value in different if (number := _number(value)) is not None}
    return tuple(sorted({*map(exact, known), *numbers}))


def _number(value: Any) -> Any:
    """Return a category as a number, exact where it is whole; None for a text that is none."""
    if not isinstance(value, str):
        return value
    return int(value) if value.strip().lstrip("+-").isdecimal() else number_of(value)
