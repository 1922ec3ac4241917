"""Sentences with labels, from a CSV, TSV or JSONL file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.language.tabular import TabularFile, tabular_file
from emoprune.problems.storage.located import located

__all__ = ["LABEL_COLUMNS", "LabelledTexts", "labelled_texts"]

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
    """Return the rows of a file in UTF-8, read as `tabular_file` does.

    The text is in the column `sentence`, `text`, `review` or `title`, the label in `label`, `labels`, `class` or
    `target`.

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
    found = tabular_file(place)
    text = _column(place, found.columns, TEXT_COLUMNS)
    label = _column(place, found.columns, LABEL_COLUMNS) if labelled else None
    texts = tuple(row[text] for row in found.rows)
    if label is None:
        return LabelledTexts(texts, np.zeros(0, dtype=np.int64), ())
    return _numbered(found, texts, [row[label].strip() for row in found.rows])


def _column(place: Path, header: Sequence[str], names: Sequence[str]) -> int:
    found = next((header.index(name) for name in names if name in header), None)
    if found is None:
        raise ConfigError(
            f"data: {place.name}: expected a column called {', '.join(names[:-1])} or {names[-1]}, found "
            f"{', '.join(map(repr, header[:6]))}; rename one"
        )
    return found


def _numbered(found: TabularFile, texts: tuple[str, ...], words: Sequence[str]) -> LabelledTexts:
    """Number the classes: numbers in their own order, words in alphabetical order."""
    unlabelled = next((line for line, word in zip(found.lines, words, strict=True) if not word), None)
    if unlabelled is not None:
        raise ConfigError(f"data: {found.name}, row {unlabelled}: expected a label, found nothing; fill it in")
    known = set(words)
    numeric = all(word.lstrip("-").isdigit() for word in known)
    names = sorted(known, key=int) if numeric else sorted(known)
    if len(names) < 2:
        raise ConfigError(f"data: {found.name}: expected at least 2 classes, found only {names[0]!r}")
    number = {word: position for position, word in enumerate(names)}
    return LabelledTexts(texts, np.array([number[word] for word in words], dtype=np.int64), tuple(names))
