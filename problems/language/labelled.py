"""Sentences with labels, from a CSV or TSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.places.located import located

__all__ = ["LabelledTexts", "labelled_texts"]

TEXT_COLUMNS = ("sentence", "text", "review", "title")
LABEL_COLUMNS = ("label", "labels", "class", "target")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTexts:
    """Texts, their labels from 0, shape (n,), and the classes' names in the labels' order; no labels, no names."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, numbers: Sequence[int] | NDArray[np.int64]) -> LabelledTexts:
        """Return some of them, in the order of `numbers`."""
        chosen = np.asarray(numbers, dtype=np.int64)
        labels = self.labels[chosen] if len(self.labels) else self.labels
        return LabelledTexts(tuple(self.texts[row] for row in chosen.tolist()), labels, self.names)


def labelled_texts(name: str, *, labelled: bool = True) -> LabelledTexts:
    """Return the rows of a file in UTF-8 with a header.

    A .tsv file is split at tabs and knows no quotes; a .csv file is read as spreadsheets write it. The text is in the
    column `sentence`, `text`, `review` or `title`, the label in `label`, `labels`, `class` or `target`.

    Args:
        name: The file, found from here or beside the config.
        labelled: Whether labels are wanted.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(
            f"data: there is no file {name!r} here or beside the config; expected a CSV or TSV file with the columns "
            f"{TEXT_COLUMNS[0]} and {LABEL_COLUMNS[0]}"
        )
    header, rows = _table(place)
    text = _column(place, header, TEXT_COLUMNS)
    label = _column(place, header, LABEL_COLUMNS) if labelled else None
    wide = max(text, -1 if label is None else label)
    short = next((number for number, row in enumerate(rows, start=2) if len(row) <= wide), None)
    if short is not None:
        raise ConfigError(f"data: {place.name}, row {short}: expected {len(header)} columns as in the header; mend it")
    if not rows:
        raise ConfigError(f"data: {place.name} has a header and no rows; add some")
    texts = tuple(row[text] for row in rows)
    if label is None:
        return LabelledTexts(texts, np.zeros(0, dtype=np.int64), ())
    return _numbered(place, texts, [row[label].strip() for row in rows])


def _table(place: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with place.open(encoding="utf-8", newline="") as file:
            if place.suffix.lower() == ".tsv":
                # Sentences hold quote marks that mean nothing.
                rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            else:
                rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"data: {place.name} cannot be read: {error}; expected CSV or TSV in UTF-8") from error
    filled = [row for row in rows if row]
    if not filled:
        raise ConfigError(f"data: {place.name} is empty; expected a header and rows")
    return [name.strip().lower().lstrip("\ufeff") for name in filled[0]], filled[1:]


def _column(place: Path, header: Sequence[str], names: Sequence[str]) -> int:
    found = next((header.index(name) for name in names if name in header), None)
    if found is None:
        raise ConfigError(
            f"data: {place.name}: expected a column called {', '.join(names[:-1])} or {names[-1]}, found "
            f"{', '.join(map(repr, header[:6]))}; rename one"
        )
    return found


def _numbered(place: Path, texts: tuple[str, ...], words: Sequence[str]) -> LabelledTexts:
    """Number the classes: numbers in their own order, words in alphabetical order."""
    unlabelled = next((number for number, word in enumerate(words, start=2) if not word), None)
    if unlabelled is not None:
        raise ConfigError(f"data: {place.name}, row {unlabelled}: expected a label, found nothing; fill it in")
    known = set(words)
    numeric = all(word.lstrip("-").isdigit() for word in known)
    names = sorted(known, key=int) if numeric else sorted(known)
    if len(names) < 2:
        raise ConfigError(f"data: {place.name}: expected at least 2 classes, found only {names[0]!r}")
    number = {word: position for position, word in enumerate(names)}
    return LabelledTexts(texts, np.array([number[word] for word in words], dtype=np.int64), tuple(names))
