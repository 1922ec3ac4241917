"""Read plain columns as numbers, moments, parts of dates or codes of categories; needs numpy, nothing else.

What a text means depends on no other text: fit decides once what a column holds, and rows are read in that way ever
after, one by one or many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.columns import DAY, date_text, exact, moment

FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int64]
Label = str | int | float  # what a category is called: a text, or a number that is exact

GAPS = (
    frozenset(["", "?", "-", "--", ".", "NA", "na", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>"])
    | frozenset(["NaN", "nan", "-NaN", "-nan", "NULL", "Null", "null", "None", "NaT"])
    | frozenset(["#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"])  # what spreadsheets write
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?[iI]nf(inity)?")
PERIOD = re.compile(r"(\d{4})(?:-(\d\d)|-?Q([1-4]))")  # a month or a quarter
TRUTH: Mapping[str, float] = {"true": 1.0, "false": 0.0}
# How numbers may be written besides: what stands between thousands, and what before the decimals.
MARKS: Mapping[str, tuple[str, str]] = {
    "1234.5": ("", "."),
    "1,234.5": (",", "."),
    "1.234,5": (".", ","),
    "1 234.5": (" ", "."),
    "1 234,5": (" ", ","),
    "1'234.5": ("'", "."),
}
UNITS = ("%", "€", "$", "£", "¥")
SPAN = re.compile(r"(?:([+-]?\d+) days?)?,? ?(?:([+-])?(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?)?")

ISO_SPAN = re.compile(r"([+-]?)P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?)S)?)?")


def label(value: Any) -> str:
    """Return what a category that is a text or a number is called as a text: 2.0 and 2 are both called 2."""
    return value if isinstance(value, str) else str(exact(value))


def is_gap(text: str) -> bool:
    """Whether a text stands for a missing value."""
    return text.strip() in GAPS


def number_of(text: str, form: str = "") -> float | None:
    """Return the number that a text is, the truth value, or the span of time in days; None if it is none of these.

    Args:
        text: As Python writes numbers, or spans of time as `12:30`, `12:30:05`, `3 days 12:30:05` or `P3DT12H30M`.
        form: How else numbers are written: one of MARKS, and in which unit, as `1.234,5` or `1234.5 in %`.
    """
    text = text.strip()
    if form:
        return _marked(text, form)
    if NUMBER.fullmatch(text):
        return float(text)
    return TRUTH[text.lower()] if text.lower() in TRUTH else span_of(text)


def _marked(text: str, form: str) -> float | None:
    marks, _, unit = form.partition(" in ")
    thousands, point = MARKS[marks]
    if unit:
        if not (text.endswith(unit) or text.lstrip("+-").startswith(unit)):
            return None
        text = text.replace(unit, "", 1).strip()
    text = text.replace("\u00a0", " ").replace("\u202f", " ")  # blanks that keep a line together
    grouped = rf"[1-9]\d{{0,2}}({re.escape(thousands)}\d{{3}})+|" if thousands else ""
    if not re.fullmatch(rf"[+-]?({grouped}\d+)({re.escape(point)}\d+)?", text):
        return None
    return float(text.replace(thousands, "").replace(point, "."))


def span_of(text: str) -> float | None:
    """Return the days of a span or a time of day; None if a text is none."""
    iso = ISO_SPAN.fullmatch(text)
    if iso is not None:
        days, hours, minutes, rest = (float(each or 0) for each in iso.groups()[1:])
        return (-1 if iso[1] == "-" else 1) * (days + (hours * 3600 + minutes * 60 + rest) / 86_400)
    found = SPAN.fullmatch(text) if text else None
    if found is None or (found[1] is None and found[3] is None):
        return None
    seconds = int(found[3] or 0) * 3600 + int(found[4] or 0) * 60 + float(found[5] or 0)
    return int(found[1] or 0) + (-seconds if found[2] == "-" else seconds) / 86_400


def moment_of(text: str, form: str = "") -> np.datetime64 | None:
    """Return the moment that a text is, by ISO 8601 or as `strptime` reads the format; None if it is none.

    Months such as `2024-03` and quarters such as `2024Q1` are their first day, as periods are.
    """
    text = text.strip()
    period = PERIOD.fullmatch(text) if not form else None
    if period is not None:
        text = f"{period[1]}-{period[2] or f'{3 * int(period[3]) - 2:02d}'}-01"
    try:
        found = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007  # a zone is kept where there is one
    except ValueError:
        return None
    return moment(found)


def numbers(array: NDArray[Any], form: str = "") -> FloatArray:
    """Return a plain column as numbers; dates as days since 1970, texts as the numbers that they are in that form.

    Raises:
        ValueError: A text is no number.
    """
    if array.dtype.kind == "M":
        return np.asarray(np.where(np.isnat(array), np.nan, (array - np.datetime64(0, "us")) / DAY))
    if array.dtype.kind == "f":
        return array
    known = {value: _read(value, lambda text: number_of(text, form), np.nan) for value in set(array.tolist())}
    return np.array([known[value] for value in array], dtype=np.float64)


def moments(array: NDArray[Any], form: str = "") -> NDArray[np.datetime64]:
    """Return a plain column as moments; texts as the dates that they are.

    Raises:
        ValueError: A text is no date, or the column holds numbers.
    """
    if array.dtype.kind == "M":
        return array
    gap = np.datetime64("NaT", "us")
    values = [None if value != value else value for value in array.tolist()]  # noqa: PLR0124  # NaN is not itself
    known = {value: _read(value, lambda text: moment_of(text, form), gap, str) for value in set(values)}
    return np.array([known[value] for value in values], dtype="datetime64[us]")


def _read(value: Any, reading: Callable[[str], Any], gap: Any, *kinds: type) -> Any:
    if value is None or (isinstance(value, str) and is_gap(value)):
        return gap
    found = reading(value) if isinstance(value, str) else (None if kinds else value)
    if found is None:
        raise ValueError(f"found {'texts' if isinstance(value, str) else 'numbers'} such as {value!r}")
    return found


def coded(array: NDArray[Any], categories: Sequence[Label]) -> CodeArray:
    """Return the codes of a plain column's values among `categories`, which are all texts or all numbers.

    A code is the category's place; missing has the code after the last one, and what was never seen the code after
    that. A text that stands for a missing value is one, unless it is a category.
    """
    of_texts = bool(categories) and isinstance(categories[0], str)
    known = {category: place for place, category in enumerate(categories)}
    if array.dtype.kind == "O":
        found: dict[Any, int] = {value: _code(value, known, of_texts) for value in set(array.tolist())}
        return np.fromiter((found[value] for value in array), np.int64, len(array))
    gaps = np.isnat(array) if array.dtype.kind == "M" else np.isnan(array)
    codes = np.full(len(array), len(known), dtype=np.int64)
    values, places = np.unique(array[~gaps], return_inverse=True)
    named = map(date_text, values) if array.dtype.kind == "M" else map(exact, values)
    codes[~gaps] = np.array([_code(value, known, of_texts) for value in named], dtype=np.int64)[places]
    return codes


def _code(value: Any, known: Mapping[Label, int], of_texts: bool) -> int:
    if value is None:
        return len(known)
    if value in known:
        return known[value]
    gap = isinstance(value, str) and is_gap(value)
    unseen = len(known) if gap else len(known) + 1
    if of_texts:
        return unseen if isinstance(value, str) else known.get(label(value), unseen)
    if not isinstance(value, str) or number_of(value) is None:
        return unseen
    return known.get(int(value) if value.strip().lstrip("+-").isdecimal() else exact(number_of(value)), unseen)


def moments_of(days: FloatArray) -> NDArray[np.datetime64]:
    """Return days since 1970 as moments, to the microsecond."""
    gaps = np.isnan(days)
    whole = np.floor(np.where(gaps, 0.0, days))
    spent = np.round((np.where(gaps, 0.0, days) - whole) * 86_400e6)
    found = np.datetime64(0, "us") + (whole.astype(np.int64) * 86_400_000_000 + spent.astype(np.int64))
    return np.where(gaps, np.datetime64("NaT", "us"), found)


PARTS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "days": numbers,
    "year": lambda when: when.astype("datetime64[Y]").astype(np.int64) + 1970,
    "month": lambda when: when.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "day": lambda when: (when.astype("datetime64[D]") - when.astype("datetime64[M]")) // DAY + 1,
    "weekday": lambda when: (when.astype("datetime64[D]").astype(np.int64) + 3) % 7,  # Monday is 0
    "hour": lambda when: (when - when.astype("datetime64[D]")) / np.timedelta64(1, "h"),
    "season": lambda when: ((when - when.astype("datetime64[Y]")) / DAY) / 365.25,
}


def part(when: NDArray[Any], name: str) -> FloatArray:
    """Return a part of moments, NaN where there is none: one of PARTS, or the sine or cosine of the season or hour."""
    wave, _, name = name.rpartition(" of ")
    gaps = np.isnat(when)
    with np.errstate(invalid="ignore"):
        found = PARTS[name](np.where(gaps, np.datetime64(0, "us"), when)).astype(np.float64)
    if wave:
        angle = 2 * np.pi * (found / 24 if name == "hour" else found)
        found = np.sin(angle) if wave == "sine" else np.cos(angle)
    return np.where(gaps, np.nan, found)
