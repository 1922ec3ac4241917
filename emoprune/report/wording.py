"""How numbers, durations and foreign text are written for a person."""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence

__all__ = [
    "MISSING",
    "change",
    "duration",
    "labelled",
    "measured",
    "number",
    "numbers",
    "passage",
    "plain",
    "rate",
    "shell_word",
    "significant",
    "with_unit",
]

MISSING = "-"

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, device strings
    r"|\x1b[ -~]"
)


def plain(text: object, limit: int = 200) -> str:
    """Return foreign text as one line that cannot steer a terminal or turn the reading direction, cut at `limit`."""
    bare = " ".join(_ESCAPE_SEQUENCE.sub("", str(text)).split())
    # The categories that begin with C: control, format (direction marks), surrogate, private use, unassigned.
    shown = "".join(character for character in bare if not unicodedata.category(character).startswith("C"))
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def passage(text: object) -> str:
    """Return foreign text that may have several lines, its spaces as they are, without what could steer a terminal."""
    bare = _ESCAPE_SEQUENCE.sub("", str(text)).replace("\r\n", "\n").replace("\t", " ")
    return "".join(each for each in bare if each == "\n" or not unicodedata.category(each).startswith("C"))


def shell_word(text: object) -> str:
    """Return foreign text as one word of a command that a person may paste into a shell."""
    return shlex.quote(plain(text))


def measured(counts: Mapping[str, int]) -> str:
    """Say how many candidates were measured on how many blocks of examples, and what it saved to give some up."""
    by_blocks = {int(blocks): count for blocks, count in counts.items()}
    most = max(by_blocks)
    saved = 1 - sum(blocks * count for blocks, count in by_blocks.items()) / (most * sum(by_blocks.values()))
    parts = [f"{count:,} on {'all ' if blocks == most else ''}{blocks}" for blocks, count in sorted(by_blocks.items())]
    return f"{', '.join(parts)}; {saved:.0%} of the work saved"


def number(value: float) -> str:
    """Write one number: whole ones with thousands separators, others with about four digits, NaN as a dash."""
    return numbers([value])[0]


def with_unit(value: float, unit: str) -> str:
    """Write one number and its unit, if it has one."""
    return f"{number(value)} {plain(unit, 20)}".rstrip()


def labelled(name: str, unit: str) -> str:
    """Write what a number is, with its unit in brackets if it has one."""
    return f"{name} ({plain(unit, 20)})" if unit else name


def numbers(values: Sequence[float]) -> list[str]:
    """Write a column of numbers with as many decimals as it needs, at most about four digits; NaN as a dash."""
    known = [abs(float(value)) for value in values if math.isfinite(value) and value != 0]
    decimals = _decimals(known)
    while decimals and all(round(size, decimals) == round(size, decimals - 1) for size in known):
        decimals -= 1
    return [_write(value, decimals) for value in values]


def _decimals(sizes: Sequence[float]) -> int | None:
    """Return the most decimals for numbers of these sizes; None where only powers of ten are readable."""
    if all(size.is_integer() and size < 1e15 for size in sizes):
        return 0
    largest, smallest = max(sizes), min(sizes)
    if largest >= 1e9 or smallest < 1e-4:
        return None
    four_digits_of_largest = 3 - math.floor(math.log10(largest))
    two_digits_of_smallest = 1 - math.floor(math.log10(smallest))
    return min(6, max(0, four_digits_of_largest, two_digits_of_smallest))


def _write(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else str(value)
    return f"{value:.4g}" if decimals is None else f"{value:,.{decimals}f}"


def significant(value: float, digits: int = 5) -> str:
    """Write a number with so many digits that count, in powers of ten only where it is huge or next to nothing.

    So a number that grows line by line is written in one way all along.
    """
    if value == 0 or not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    written = f"{value:,.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def change(percent: float | None) -> str:
    """Write a change in percent with its sign; None, where there is nothing to compare with, as a dash."""
    if percent is None or not math.isfinite(percent):
        return MISSING
    if abs(percent) >= 1e6:
        return f"{percent:+.2g}%"
    return f"{percent:+,.1f}%" if abs(percent) < 100 else f"{percent:+,.0f}%"


def duration(seconds: float) -> str:
    """Write a duration in the two units that matter."""
    whole = max(0, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{whole} s"


def rate(per_second: float) -> str:
    """Write evaluations per second, or per minute or hour where a second sees less than one in ten."""
    for per_unit, unit in ((per_second, "s"), (per_second * 60, "min")):
        if per_unit >= 0.1:
            return f"{per_unit:,.1f}/{unit}"
    return f"{per_second * 3600:,.1f}/h"
