"""A table of labels and values as the page writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emoprune.report.offers import cells, columns_of
from emoprune.report.wording import plain

__all__ = ["TableShown", "table_shown"]

ROWS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class TableShown:
    """A table as the page writes it: `headings` are (label, whether numbers), `rows` are texts."""

    title: str
    headings: list[tuple[str, bool]]
    rows: list[tuple[str, ...]]
    left_out: int


def table_shown(title: str, rows: Any) -> TableShown:
    """Return rows of labels and values as the page writes them; a column is one of numbers or of words."""
    shown, columns = rows[:ROWS_SHOWN], columns_of(rows)
    written = [cells(shown, column) for column in columns]
    headings = [(plain(column), numeric) for column, (_, numeric) in zip(columns, written, strict=True)]
    texts = list(zip(*(column for column, _ in written), strict=True))
    return TableShown(title, headings, texts, len(rows) - len(shown))
