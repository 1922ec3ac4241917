"""Frames of many rows, polars' lazy ones among them: counted, some rows taken, some columns read, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.reading.frames import names_of, plain_columns

__all__ = ["batches", "columns_of", "infinite_values", "is_lazy", "names_in", "row_count", "rows_of"]

IntArray = NDArray[np.int64]

CELLS_AT_ONCE = 2_000_000  # of a batch: 16 MB as floats, and several times that as texts
CELLS_OF_COLUMNS = 8 * CELLS_AT_ONCE  # of columns that are read together, of which one at a time is made plain
PLACE = "place of a row, for emoprune"  # which no column is called


def is_lazy(frame: Any) -> bool:
    """Whether it is a lazy frame of polars."""
    return hasattr(frame, "collect_schema") and not hasattr(frame, "to_dict")


def names_in(frame: Any) -> list[str]:
    """Return the names of a frame's columns as texts; raises as `names_of` does."""
    return list(frame.collect_schema().names()) if is_lazy(frame) else names_of(frame)


def row_count(frame: Any) -> int:
    """Return how many rows a frame has; of a lazy one no column is kept."""
    if not is_lazy(frame):
        return len(frame)
    import polars

    return int(frame.select(polars.len()).collect(engine="streaming").item())


def rows_of(frame: Any, places: IntArray) -> Any:
    """Return rows of a frame at ascending places; of a lazy one no others are kept."""
    if not is_lazy(frame):
        return frame.iloc[places] if hasattr(frame, "iloc") else frame[places]
    import polars

    numbered = frame.with_row_index(PLACE)
    wanted = polars.Series(places, dtype=numbered.collect_schema()[PLACE]).implode()
    return numbered.filter(polars.col(PLACE).is_in(wanted)).drop(PLACE).collect(engine="streaming")


def columns_of(frame: Any, names: Sequence[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield all rows of some columns, one plain column after another; of a lazy frame no others are read."""
    if not is_lazy(frame):
        keys = range(frame.shape[1]) if isinstance(frame, np.ndarray) else frame.columns
        known = dict(zip(names_of(frame), keys, strict=True))
        for name in names:
            own = frame[:, known[name]] if isinstance(frame, np.ndarray) else frame[known[name]]
            yield name, plain_columns({name: own})[name]
        return
    together = max(1, CELLS_OF_COLUMNS // max(1, row_count(frame)))
    for start in range(0, len(names), together):
        some = frame.select(names[start : start + together]).collect(engine="streaming")
        for name in some.columns:
            yield name, plain_columns({name: some[name]})[name]


def infinite_values(frame: Any) -> dict[str, int]:
    """Return how many infinite values the columns of floats hold, of those that hold any."""
    if is_lazy(frame):
        from polars import selectors

        counts = frame.select(selectors.float().is_infinite().sum()).collect(engine="streaming")
        found = counts.row(0, named=True) if counts.width else {}
    else:
        types = {name: getattr(frame[name], "dtype", "") for name in getattr(frame, "columns", ())}
        floats = [str(name) for name, dtype in types.items() if str(dtype).lower().startswith(("float", "double"))]
        found = {name: np.isinf(column).sum() for name, column in columns_of(frame, floats)}
    return {name: int(count) for name, count in found.items() if count}


def batches(frame: Any) -> Iterator[Any]:
    """Yield a lazy frame's rows in their order, as frames of few rows."""
    rows = max(1, CELLS_AT_ONCE // max(1, len(names_in(frame))))
    for batch in frame.collect_batches(chunk_size=rows, maintain_order=True):
        for start in range(0, batch.height, rows):
            yield batch[start : start + rows]
