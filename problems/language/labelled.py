"""Sentences with labels, from a CSV, TSV or JSONL file."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.language.tabular import TabularFile, tabular_file
from emoprune.problems.storage.located import located

__all__ = ["LABEL_COLUMNS", "LabelledTexts", "Text", "labelled_texts"]

TEXT_COLUMNS = ("sentence", "text", "review", "title")
PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"))
LABEL_COLUMNS = ("label", "labels", "class", "target")


Text = str | tuple[str, str]  # one, or a pair of which the second is judged by the first


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTexts:
    """Texts, their labels from 0, shape (n,), and the classes' names in the labels' order; no labels, no names.

    `unread` names more columns that hold texts.
    """

    texts: tuple[Text, ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, numbers: Sequence[int] | NDArray[np.int64]) -> LabelledTexts:
        """Return some of them, in the order of `numbers`."""
        chosen = np.asarray(numbers, dtype=np.int64)
        labels = self.labels[chosen] if len(self.labels) else self.labels
        return LabelledTexts(tuple(self.texts[row] for row in chosen.tolist()), labels, self.names, self.unread)


def labelled_texts(name: str, columns: Sequence[str] = (), *, labelled: bool = True) -> LabelledTexts:
    """Return the rows of a file in UTF-8, read as `tabular_file` does.

    The text is in the column `sentence`, `text`, `review` or `title`, the label in `label`, `labels`, `class` or
    `target`. Pairs of texts are in `sentence1` and `sentence2`, `premise` and `hypothesis`, or `question1` and
    `question2`.

    Args:
        name: The file, found from here or beside the config.
        columns: The columns with the text, or with both texts of a pair, where they are called otherwise.
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
    if not labelled:
        text = _column(place, found.columns, TEXT_COLUMNS)
        return LabelledTexts(tuple(row[text] for row in found.rows), np.zeros(0, dtype=np.int64), ())
    own = _text_columns(place, found.columns, columns)
    texts = tuple(row[own[0]] if len(own) == 1 else (row[own[0]], row[own[1]]) for row in found.rows)
    label = _column(place, found.columns, LABEL_COLUMNS)
    unread = () if columns else _more_texts(found, {*own, label})
    return _numbered(found, texts, [row[label].strip() for row in found.rows], unread)


def _text_columns(place: Path, header: Sequence[str], asked: Sequence[str]) -> list[int]:
    """Return where the text is, or both texts of a pair."""
    pair = next((pair for pair in PAIRS if set(pair) <= set(header)), ())
    if not asked and pair and not set(TEXT_COLUMNS) & set(header):
        asked = pair
    return [_column(place, header, [name.strip().lower()]) for name in asked] or [_column(place, header, TEXT_COLUMNS)]


def _more_texts(found: TabularFile, read: Set[int]) -> tuple[str, ...]:
    """Return the columns that are not read though most of their rows have several words."""
    return tuple(
        name
        for place, name in enumerate(found.columns)
        if place not in read and sum(" " in row[place].strip() for row in found.rows) > len(found) / 2
    )


def _column(place: Path, header: Sequence[str], names: Sequence[str]) -> int:
    found = next((header.index(name) for name in names if name in header), None)
    if found is None:
        called = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        raise ConfigError(
            f"data: {place.name}: expected a column called {called}, found {', '.join(map(repr, header[:6]))}; rename "
            "one"
        )
    return found


def _numbered(
    found: TabularFile, texts: tuple[Text, ...], words: Sequence[str], unread: tuple[str, ...]
) -> LabelledTexts:
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
    return LabelledTexts(texts, np.array([number[word] for word in words], dtype=np.int64), tuple(names), unread)
