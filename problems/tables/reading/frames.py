"""Frames of any kind (pandas, polars, mappings, arrays) as plain columns by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.standalone.features import plain

__all__ = ["PlainColumns", "names_of", "plain_columns"]

PlainColumns = dict[str, NDArray[Any]]  # floats with NaN, or objects: texts and None


def plain_columns(frame: Any) -> PlainColumns:
    """Return a frame's columns in order, by name; an array's are called x0, x1, ...

    Raises:
        ConfigError: It is no frame, or two columns share a name or have other lengths.
    """
    names = names_of(frame)
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ConfigError(
            f"data: expected every column name once, found {doubled[0]!r} {names.count(doubled[0])} times; rename one"
        )
    if isinstance(frame, np.ndarray):
        columns = {name: plain(frame[:, place]) for place, name in enumerate(names)}
    else:
        original = list(frame.keys() if isinstance(frame, Mapping) else frame.columns)
        columns = {name: plain(frame[key]) for name, key in zip(names, original, strict=True)}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ConfigError(f"data: expected columns of equal length, found {sorted(lengths)}")
    return columns


def names_of(frame: Any) -> list[str]:
    """Return the names of a frame's columns as texts.

    Raises:
        ConfigError: It is no frame.
    """
    if isinstance(frame, np.ndarray) and frame.ndim == 2:
        return [f"x{place}" for place in range(frame.shape[1])]
    if isinstance(frame, Mapping):
        return [str(name) for name in frame]
    if hasattr(frame, "columns"):
        return [str(name) for name in frame.columns]
    raise ConfigError(
        f"data: expected a pandas or polars frame, a mapping of names to columns, or a matrix, found "
        f"{type(frame).__name__}"
    )
