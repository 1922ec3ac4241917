"""Features of a lazy frame, computed batch by batch: besides the output no more is held than a few batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.reading.lazily import batches, row_count
from emoprune.problems.tables.scikit_learn.typed_output import typed_columns, typed_frame
from emoprune.problems.tables.standalone.features import Features

__all__ = ["in_batches"]

Columns = Mapping[str, NDArray[Any]]


def in_batches(features: Features, frame: Any, library: str, columns_of: Callable[[Any], Columns]) -> Any:
    """Return what the features of a lazy frame's rows would be if it were collected: an array, or a frame.

    Args:
        features: The features.
        frame: A lazy frame of n rows.
        library: default for an array of shape (n, features), pandas or polars.
        columns_of: What reads a collected batch as plain columns, and checks it.
    """
    read = ((columns_of(batch), batch) for batch in batches(frame))
    if library == "polars":
        import polars

        return polars.concat([typed_frame(features, *each, library) for each in read], how="vertical_relaxed")
    if library == "pandas":
        return _pandas_frame(features.names, (typed_columns(features, *each, library) for each in read))
    found = np.empty((row_count(frame), len(features.names)))
    done = 0
    for columns, batch in read:
        found[done : done + len(batch)] = features.transform(columns)
        done += len(batch)
    return found


def _pandas_frame(names: Sequence[str], batches_of_columns: Iterator[list[Any]]) -> Any:
    """Join columns one by one, so that no more than one of them is held twice."""
    import pandas as pd
    from pandas.api.types import union_categoricals

    pieces: list[list[Any]] = [list(each) for each in zip(*batches_of_columns, strict=True)]
    joined: dict[int, Any] = {}
    for place, own in enumerate(pieces):
        whole = np.concatenate(own) if isinstance(own[0], np.ndarray) else union_categoricals(own)
        joined[place] = pd.Series(whole, copy=False)
        own.clear()
    return pd.DataFrame(joined, copy=False).set_axis(list(names), axis=1)
