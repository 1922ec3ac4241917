"""What becomes of a plain column: numbers, categories, the parts of a date or of a text, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.dates import parts_of
from emoprune.problems.tables.reading.doubtful import doubt
from emoprune.problems.tables.reading.free_texts import identify
from emoprune.problems.tables.reading.free_texts import parts_of as parts_of_text
from emoprune.problems.tables.reading.texts import Meaning, meaning_of, nearly_numbers
from emoprune.problems.tables.reading.themes import themes_in
from emoprune.problems.tables.reading.wanted import Wanted
from emoprune.problems.tables.standalone.columns import date_text, exact
from emoprune.problems.tables.standalone.features import Values
from emoprune.problems.tables.standalone.readings import coded, label
from emoprune.problems.tables.standalone.texts import SHAPES, FreeText, texts_of
from emoprune.problems.tables.table import ColumnKind, TableColumn

__all__ = ["Made", "ReadColumn", "present_in", "read_column"]

ORDINAL_LEVELS = 100  # so many different numbers at most make an ordinal column, as in OpenFE
ROWS_PER_LEVEL = 5  # ... seen so often on average: groups of one or two rows only memorise
TEXT_SHARE = 0.5  # of rows with different texts: not categories but text or an identifier
TEXT_LEVELS = 20
SHOWN = 5  # n-grams

Made = tuple[TableColumn, Values]


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """What becomes of a column (nothing, itself, or the parts of a date or a text), and what is to be said of it."""

    made: Sequence[Made] = ()
    notes: Sequence[str] = ()
    text: FreeText | None = None


def read_column(name: str, column: NDArray[Any], wanted: Wanted) -> ReadColumn:
    """Return what becomes of a column, decided once from all of its values, whatever the target is.

    Raises:
        ConfigError: It holds infinite numbers.
    """
    category = name in wanted.categorical
    text = name in (wanted.text or ()) and not category
    meaning = meaning_of(column, category=category or text)
    useless = _useless(meaning.array)
    if useless:
        return ReadColumn(notes=[f"{name} is left out: {useless}."])
    if text or (wanted.text is not None and not category and _is_free(meaning.array)):
        return _text(name, meaning, wanted)
    too_many = None if category else _too_many(meaning.array)
    if too_many:
        return ReadColumn(notes=[f"{name} is left out: {too_many}."])
    notes = [f"{name} {meaning.said}."] if meaning.said else []
    doubtful = "" if category or meaning.array.dtype.kind != "f" else doubt(meaning.array)
    notes += [f"{name} {doubtful}"] if doubtful else []
    if meaning.array.dtype.kind != "M" or category:
        own, values = _column(name, meaning.array, categorical=category)
        return ReadColumn([(replace(own, form=meaning.form), values)], notes)
    return ReadColumn([made for made in _parts(name, meaning) if not wanted.ignores(made[0].name)], notes)


def _parts(name: str, meaning: Meaning) -> Iterator[Made]:
    for own, part, values in parts_of(name, meaning.array):
        column, made = _column(own, values, categorical=False)
        yield replace(column, of=name, part=part, form=meaning.form), made


def _text(name: str, meaning: Meaning, wanted: Wanted) -> ReadColumn:
    texts = texts_of(meaning.array)
    text = FreeText(texts, themes_in(texts))
    made: list[Made] = []
    for own, part, values in parts_of_text(name, text):
        # A theme is a weighted sum: that it has few different values makes no categories of them.
        column, kept = (
            _column(own, values, categorical=False)
            if part in SHAPES
            else (TableColumn(own, ColumnKind.NUMERICAL), Values(values))
        )
        if not wanted.ignores(own):
            made.append((replace(column, of=name, part=part), kept))
    if not made:
        return ReadColumn(notes=[f"{name} is left out: its texts have no words or n-grams in which they differ."])
    shapes = [column.part for column, _ in made if column.part in SHAPES]
    leading = ", ".join(map(repr, text.themes.leading[:SHOWN])) if text.themes else ""
    themes = [f"{len(made) - len(shapes)} themes of n-grams such as {leading}"] if len(made) > len(shapes) else []
    marks = meaning.said.removeprefix("is read as categories")
    said = f"{name} is read as text{marks}: {', '.join([*shapes, *themes])}; name it in `categorical` if it is none."
    return ReadColumn(made, [said], text)


def _useless(column: NDArray[Any]) -> str | None:
    """Say why a column is of no use; None if it may be of some."""
    present = column[present_in(column)]
    if not len(present):
        return "all of its values are missing"
    levels = set(present.tolist()) if column.dtype.kind == "O" else np.unique(present)
    if len(levels) == 1 and len(present) == len(column):
        return f"it is constant, {_shown(present[0])}"
    return None


def _has_many(column: NDArray[Any], levels: Collection[Any], present: int) -> bool:
    """Whether texts or whole numbers are too many for categories."""
    return column.dtype.kind == "O" and len(levels) > TEXT_SHARE * present and len(levels) > TEXT_LEVELS


def _is_free(column: NDArray[Any]) -> bool:
    """Whether texts are too many for categories, and neither tell rows apart alone nor are nearly numbers."""
    if column.dtype.kind != "O":
        return False
    levels = set(column.tolist()) - {None}
    of_texts = all(isinstance(level, str) for level in levels)
    many = _has_many(column, levels, int(present_in(column).sum()))
    return many and of_texts and not nearly_numbers(levels) and not identify(levels)


def _too_many(column: NDArray[Any]) -> str | None:
    """Say why the values of a column are no categories; None if they may be."""
    present = column[present_in(column)]
    levels = set(present.tolist()) if column.dtype.kind == "O" else set()
    if not _has_many(column, levels, len(present)):
        return None
    what = "texts" if isinstance(present[0], str) else "whole numbers"
    return (
        f"{len(levels)} different {what} in {len(present)} rows are no categories; name it in `categorical` if they are"
        f"{nearly_numbers(levels)}"
    )


def present_in(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which values of a plain column are not missing, shape (n,)."""
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
    present = column[present_in(column)]
    if column.dtype.kind == "M":
        return tuple(map(date_text, np.unique(present)))
    values = set(present.tolist())
    if any(isinstance(value, str) for value in values):
        return tuple(sorted(map(label, values)))
    return tuple(sorted(map(exact, values)))
