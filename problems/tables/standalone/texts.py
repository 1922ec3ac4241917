"""Read texts as numbers: their length, words, digits and capitals, and themes of their n-grams; needs numpy alone.

A theme is a weighted sum of character n-grams. Which n-grams there are, and how much they weigh, was learnt once, by
fit; a text that holds none of them has 0 in all themes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.columns import date_text
from emoprune.problems.tables.standalone.readings import is_gap, label

FloatArray = NDArray[np.float64]

SIZES = (3, 4)  # characters of an n-gram; blanks stand for the beginning and the end of a word
LONGEST = 10_000  # characters of a text, its first ones, whose n-grams count


def texts_of(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return a plain column as texts, None where one is missing; numbers and dates as they are written."""
    if array.dtype.kind == "M":
        found = [None if np.isnat(value) else date_text(value) for value in array]
    else:
        found = [None if value is None or value != value else label(value) for value in array.tolist()]  # noqa: PLR0124  # NaN is not itself
    return np.fromiter((None if text is None or is_gap(text) else text for text in found), object, len(found))


def _share(text: str, counts: Callable[[str], bool]) -> float:
    return sum(map(counts, text)) / len(text)


SHAPES: Mapping[str, Callable[[str], float]] = {
    "length": len,
    "words": lambda text: len(text.split()),
    "digits": lambda text: _share(text, str.isdecimal),
    "capitals": lambda text: _share(text, str.isupper),
}


def shape(texts: NDArray[np.object_], name: str) -> FloatArray:
    """Return how long texts are, how many words they have, or which share of them digits or capitals are."""
    known = {text: float(SHAPES[name](text)) for text in set(texts.tolist()) - {None}}
    return np.array([known.get(text, np.nan) for text in texts], dtype=np.float64)


def counted(text: str) -> dict[str, int]:
    """Return how often each n-gram stands in a text; neither capitals nor the way an accent is encoded count."""
    found: dict[str, int] = {}
    for word in unicodedata.normalize("NFKC", text[:LONGEST].casefold()).split():
        padded = f" {word} "
        for size in SIZES:
            for start in range(len(padded) - size + 1):
                gram = padded[start : start + size]
                found[gram] = found.get(gram, 0) + 1
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Themes:
    """What was learnt of a column of texts.

    Args:
        grams: The n-grams, shape (grams,).
        rarity: What one occurrence counts, the more the fewer texts have the n-gram, shape (grams,).
        weights: How much each n-gram belongs to each theme, shape (grams, themes).
    """

    grams: NDArray[np.str_]
    rarity: FloatArray
    weights: FloatArray
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {gram: place for place, gram in enumerate(self.grams.tolist())})

    @property
    def learnt(self) -> dict[str, NDArray[Any]]:
        """The arrays that it is made of, by name."""
        return {"grams": self.grams, "rarity": self.rarity, "weights": self.weights}

    @property
    def leading(self) -> list[str]:
        """The n-gram of the largest weight in each theme, of some that weigh nearly the same the longest."""
        weights = np.round(np.abs(self.weights), 1) + 0.01 * np.char.str_len(self.grams)[:, np.newaxis]
        return [str(self.grams[place]) for place in weights.argmax(axis=0)]

    def of(self, texts: NDArray[np.object_]) -> FloatArray:
        """Return the themes of texts, shape (n, themes), NaN where a text is missing; each by itself."""
        themes = self.weights.shape[1]
        known: dict[str | None, FloatArray] = {None: np.full(themes, np.nan)}
        known |= {text: self._of_one(text) for text in set(texts.tolist()) - {None}}
        return np.array([known[text] for text in texts], dtype=np.float64).reshape(len(texts), themes)

    def _of_one(self, text: str) -> FloatArray:
        """Return a text's themes; its n-grams count as a vector of length 1, so that long texts are as short ones."""
        found = {self._places[gram]: count for gram, count in counted(text).items() if gram in self._places}
        if not found:
            return np.zeros(self.weights.shape[1])
        rows = np.fromiter(found, np.int64, len(found))
        counts = np.fromiter(found.values(), np.float64, len(found)) * self.rarity[rows]
        return np.asarray((counts[:, np.newaxis] * self.weights[rows]).sum(axis=0) / np.sqrt((counts**2).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class FreeText:
    """A column of texts, shape (n,), None where one is missing, and its themes if it has any."""

    texts: NDArray[np.object_]
    themes: Themes | None


def theme_name(place: int) -> str:
    """Return what a theme is called as a part of a text."""
    return f"theme {place + 1}"


def is_theme(part: str) -> bool:
    """Whether a part of a column is a theme of texts."""
    return part.startswith("theme ")


def theme_place(part: str) -> int:
    """Return the place of a theme among all of them."""
    return int(part.removeprefix("theme ")) - 1
