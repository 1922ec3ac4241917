"""What the texts of a column mean, decided once from all of them: numbers, dates, categories; and which are gaps."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.columns import EXACT
from emoprune.problems.tables.standalone.readings import (
    MARKS,
    NUMBER,
    UNITS,
    is_gap,
    moment_of,
    moments,
    number_of,
    numbers,
    span_of,
)

__all__ = ["Meaning", "gaps_in", "meaning_of"]

DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%b-%y",
)
TIMES = ("", " %H:%M:%S", " %H:%M", " %I:%M %p")
FORMATS = ("%Y-%m", "", *(day + time for day in DAYS for time in TIMES))  # "" is ISO 8601
CODE = re.compile(r"[+-]?0\d")  # of a postal or another code, which loses its zero as a number
NEARLY = 0.9  # of the texts are numbers: the others are worth naming


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """A plain column as it is meant, how its dates or numbers are written, and what a person should know.

    `form` is empty where dates are written by ISO 8601, and numbers as Python writes them. `said` is a sentence
    without its subject, the column's name; empty where nothing was converted.
    """

    array: NDArray[Any]
    form: str = ""
    said: str = ""


def gaps_in(texts: Collection[Any]) -> frozenset[str]:
    """Return which different texts stand for missing values: none where fewer than two others would remain."""
    gaps = frozenset(text for text in texts if isinstance(text, str) and is_gap(text))
    return gaps if len(texts) - len(gaps) >= 2 or all(not text.strip() for text in gaps) else frozenset()


def meaning_of(array: NDArray[Any], *, category: bool) -> Meaning:
    """Return what a plain column means; one that is declared a category only loses its gaps."""
    if array.dtype.kind != "O":
        return Meaning(array)
    different = set(array.tolist()) - {None}
    if not all(isinstance(value, str) for value in different):
        return Meaning(array) if category else _of_large(array)
    rest = [text for text in different if not is_gap(text)]
    marks = _marks(array, different - set(rest))
    if not category and rest:
        found = _of_numbers(array, rest, marks)
        if found is not None:
            return found
        form = _form(rest)
        if form is not None:
            of_format = f" of the format {form}" if form else ""
            return Meaning(moments(array, form), form, f"is read as dates{of_format}{marks}" if form or marks else "")
    gaps = gaps_in(different)
    cleared = np.array([None if text in gaps else text for text in array], dtype=object) if gaps else array
    return Meaning(cleared, said=f"is read as categories{marks}" if gaps else "")


def _of_numbers(array: NDArray[Any], different: Collection[str], marks: str) -> Meaning | None:
    """Return texts as the numbers or spans that all of them are; None if they are not."""
    if _are_numbers(different):
        return _of_large(_exact(array), f"is read as numbers{marks}")
    if all(span_of(text.strip()) is not None for text in different):
        return Meaning(numbers(array), said=f"is read as spans of time, in days{marks}")
    written = _written(different)
    if written is None:
        return None
    return Meaning(numbers(array, written), written, f"is read as numbers, written as {written}{marks}")


def _are_numbers(texts: Collection[str]) -> bool:
    """Whether all texts are numbers as Python writes them, or truth values, and none is a code."""
    numeric = all(number_of(text) is not None and span_of(text.strip()) is None for text in texts)
    return numeric and not any(CODE.match(text.strip()) for text in texts)


def _written(texts: Collection[str]) -> str | None:
    """Return in which one other way all texts are written as numbers; None if there is none.

    Where thousands and decimals cannot be told apart, as in `1,234` alone, they are taken for thousands.
    """
    if any(CODE.match(text.strip()) for text in texts):
        return None
    first = next(iter(texts))
    forms = [marks + unit for unit in ("", *(f" in {each}" for each in UNITS if each in first)) for marks in MARKS]
    return next((form for form in forms if all(number_of(text, form) is not None for text in texts)), None)


def _marks(array: NDArray[Any], gaps: Collection[str]) -> str:
    if not gaps:
        return ""
    count = sum(text in gaps for text in array)
    return f", and {', '.join(map(repr, sorted(gaps)[:5]))} as missing in {count} rows"


def _exact(array: NDArray[Any]) -> NDArray[Any]:
    """Return texts that are numbers as floats, or as whole numbers where one is too large for a float."""
    whole = [text for text in array if text is not None and text.strip().lstrip("+-").isdecimal()]
    if not any(abs(int(text)) > EXACT for text in whole):
        return numbers(array)
    found = [None if value is None or is_gap(value) else number_of(value) for value in array]
    exact = [int(text) if text in set(whole) else value for text, value in zip(array, found, strict=True)]
    return np.array(exact, dtype=object)


def _of_large(array: NDArray[Any], said: str = "") -> Meaning:
    """Return whole numbers as floats where these tell them apart, and else as they are: categories."""
    if array.dtype.kind == "f":
        return Meaning(array, said=said)
    as_floats = numbers(array)
    distinct = {value for value in array if value is not None}
    if len(np.unique(as_floats[~np.isnan(as_floats)])) == len(distinct):
        return Meaning(as_floats, said=said)
    return Meaning(array, said=said or "is read as categories: floats would not tell such large numbers apart")


def _form(texts: Collection[str]) -> str | None:
    """Return the format in which all texts are dates; None if there is none."""
    for form in FORMATS:
        if all(moment_of(text, form) is not None for text in texts):
            return form
    return None


def nearly_numbers(texts: Collection[Any]) -> str:
    """Return what is to be said of texts most of which are numbers; nothing if they are not."""
    others = [text for text in texts if not (isinstance(text, str) and NUMBER.fullmatch(text.strip()))]
    if not others or len(others) > (1 - NEARLY) * len(texts):
        return ""
    return f"; all but {len(others)} of them are numbers, so replace such as {str(min(others))!r} by gaps"
