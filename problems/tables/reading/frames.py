"""Frames of any kind (pandas, polars, Arrow, mappings, arrays) as plain columns by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.standalone.columns import plain

__all__ = ["PlainColumns", "check_names", "declared_categories", "names_of", "plain_columns"]

PlainColumns = dict[str, NDArray[Any]]  # as `plain` gives them: floats, moments, or texts and whole numbers

CATEGORIES = ("category", "categorical", "enum", "dictionary")  # how types of pandas, polars and Arrow begin


def plain_columns(frame: Any) -> PlainColumns:
    """Return a frame's columns in order, by name; an array's are called x0, x1, ...

    Raises:
        ConfigError: It is no frame, or two columns share a name or have other lengths.
    """
    check_names(frame)
    columns = {name: _plain(name, column) for name, column in _columns(frame)}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ConfigError(f"data: expected columns of equal length, found {sorted(lengths)}")
    return columns


def check_names(frame: Any) -> None:
    """Refuse a frame in which two columns have one name.

    Raises:
        ConfigError: Two have, or it is no frame.
    """
    names = names_of(frame)
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ConfigError(
            f"data: expected every column name once, found {doubled[0]!r} {names.count(doubled[0])} times; rename one"
        )


def _plain(name: str, column: Any) -> NDArray[Any]:
    try:
        return plain(column)
    except ValueError as error:
        raise ConfigError(f"data: column {name!r}: {error}; make columns of it, or leave it out") from error


def declared_categories(frame: Any) -> tuple[str, ...]:
    """Return the names of the columns whose type says that they are categories, whatever the categories are."""
    types = {name: getattr(column, "dtype", getattr(column, "type", None)) for name, column in _columns(frame)}
    return tuple(name for name, dtype in types.items() if str(dtype).lower().startswith(CATEGORIES))


def _columns(frame: Any) -> Iterator[tuple[str, Any]]:
    """Yield a frame's columns with their names as texts."""
    if isinstance(frame, np.ndarray):
        names = frame.dtype.names
        keys: list[Any] = list(names) if names else [(slice(None), place) for place in range(frame.shape[1])]
    else:
        keys = list(frame.keys() if isinstance(frame, Mapping) else getattr(frame, "column_names", frame.columns))
    for name, key in zip(names_of(frame), keys, strict=True):
        yield name, frame[key]


def names_of(frame: Any) -> list[str]:
    """Return the names of a frame's columns as texts.

    Raises:
        ConfigError: It is no frame.
    """
    if isinstance(frame, np.ndarray) and frame.dtype.names:
        return list(frame.dtype.names)
    if isinstance(frame, np.ndarray) and frame.ndim == 2:
        return [f"x{place}" for place in range(frame.shape[1])]
    if isinstance(frame, Mapping):
        return [str(name) for name in frame]
    if hasattr(frame, "columns"):
        return [str(name) for name in getattr(frame, "column_names", frame.columns)]
    raise ConfigError(
        f"data: expected a frame of pandas, polars or Arrow, a mapping of names to columns, or a matrix, found "
        f"{type(frame).__name__}"
    )
