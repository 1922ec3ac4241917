"""Which columns are free texts, and which numbers are made of one: what it looks like, and what it is about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.texts import SHAPES, FreeText, shape, theme_name

__all__ = ["identify", "parts_of"]

FloatArray = NDArray[np.float64]

DIGITS = re.compile(r"\d+")
HEXADECIMAL = re.compile(r"[0-9a-fA-F-]{8,}")


def identify(different: Collection[str]) -> bool:
    """Whether texts only tell rows apart: they differ in their digits alone, or are long hexadecimal numbers."""
    if len({DIGITS.sub("0", text) for text in different}) == 1:
        return True
    return all(HEXADECIMAL.fullmatch(text.strip()) for text in different)


def parts_of(name: str, text: FreeText) -> Iterator[tuple[str, str, FloatArray]]:
    """Yield the name, the part and the numbers of each column that is made of a column of texts.

    A part that is the same in all rows is none.
    """
    found = [(part, shape(text.texts, part)) for part in SHAPES]
    if text.themes is not None:
        found += [(theme_name(place), values) for place, values in enumerate(text.themes.of(text.texts).T)]
    for part, values in found:
        if np.ptp(values[~np.isnan(values)]) > 0:
            yield f"{part} of {name}", part, np.ascontiguousarray(values)
