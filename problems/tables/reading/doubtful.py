"""Numbers that may stand for something else: codes of missing values, and days written as whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.readings import moment_of

__all__ = ["doubt"]

CODES = (-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999)
APART = 3.0  # a code is so many times the others' range away from the nearest of them
SEEN = 2  # rows with it at least: a single one may be a measurement
FIRST_DAY, LAST_DAY = 19_000_101, 21_001_231


def doubt(numbers: NDArray[Any]) -> str:
    """Say what a column of numbers, shape (n,), may hold beside numbers, a sentence without its subject; or nothing.

    Neither is converted: `-999` may be a temperature, and 20240131 a number of an article.
    """
    present = numbers[~np.isnan(numbers)]
    levels, counts = np.unique(present, return_counts=True)
    if len(levels) < 3:
        return ""
    if _are_days(levels):
        return (
            f"holds whole numbers such as {levels[0]:.0f} that may be days, and is read as numbers; write them as "
            f"dates such as {_iso(levels[0])}, if they are."
        )
    for place, rest in ((0, levels[1:]), (-1, levels[:-1])):
        code, span = levels[place], float(np.ptp(rest))
        away = min(abs(code - rest[0]), abs(code - rest[-1]))
        if code in CODES and counts[place] >= SEEN and away > APART * span:
            return (
                f"holds {code:g} in {counts[place]} rows, and otherwise {rest[0]:g} to {rest[-1]:g}; leave these cells "
                f"empty if it stands for a missing value."
            )
    return ""


def _are_days(levels: NDArray[Any]) -> bool:
    if levels[0] < FIRST_DAY or levels[-1] > LAST_DAY or (levels % 1).any():
        return False
    return all(moment_of(f"{level:.0f}", "%Y%m%d") is not None for level in levels)


def _iso(level: float) -> str:
    digits = f"{level:.0f}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
