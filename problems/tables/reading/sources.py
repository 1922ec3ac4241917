"""Names in a config to tables: a built-in set, a file, or an import target `package.module:function`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError, EmopruneError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.storage.located import located
from emoprune.problems.tables.reading.built_in import BUILT_IN
from emoprune.problems.tables.reading.files import frame_from
from emoprune.problems.tables.reading.frames import PlainColumns, declared_categories, plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.texts import meaning_of
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.readings import numbers
from emoprune.problems.tables.table import Table

__all__ = ["Source", "read_table", "say"]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a table comes from, and which of its columns are the target, the groups, the time and the weights."""

    data: str
    target: str | None = None
    groups: str | None = None
    time: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    weights: str | None = None


def read_table(source: Source) -> Table:
    """Read and check a table; with a `time` column its rows are sorted by it.

    Raises:
        ConfigError: There is no such data or column, or it cannot be used.
    """
    columns, target, declared = _columns_and_target(source)
    for option, name in (("groups", source.groups), ("time", source.time), ("weights", source.weights)):
        if name is not None and name not in columns:
            raise ConfigError(f"{option}: there is no column {name!r}{nearest(name, list(columns))}")
    if source.time is not None:
        order = _by_time(source.time, columns[source.time])
        columns, target = {name: column[order] for name, column in columns.items()}, target[order]
    groups = None if source.groups is None else columns.pop(source.groups)
    weights = None if source.weights is None else _weights(source.weights, columns.pop(source.weights))
    wanted = source.wanted.declaring(name for name in declared if name in columns)
    return table_of(columns, target, wanted, groups=groups, weights=weights)


def _weights(name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    try:
        return numbers(column)
    except ValueError as error:
        raise ConfigError(f"weights: expected a number in every row of {name!r}, {error}") from error


def say(table: Table) -> None:
    """Warn of what was left out of a table or converted."""
    for note in table.notes:
        _log.warning("data: %s", note)


def _by_time(name: str, column: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places of rows in the order of time."""
    read = meaning_of(column, category=False).array
    moments = np.array([np.nan]) if read.dtype.kind == "O" else numbers(read)
    if np.isnan(moments).any():
        raise ConfigError(f"time: expected a number or a date in every row of {name!r}, found texts or missing values")
    return np.argsort(moments, kind="stable")


def _columns_and_target(source: Source) -> tuple[PlainColumns, NDArray[Any], tuple[str, ...]]:
    """Return plain columns, the target, and which columns are declared categories."""
    given = _read(source.data)
    if isinstance(given, tuple) and len(given) == 2:
        columns, target = plain_columns(given[0]), plain(given[1])
        if any(len(column) != len(target) for column in columns.values()):
            raise ConfigError(f"data: {source.data!r}: expected a target for each row, found {len(target)} of them")
        return columns, target, declared_categories(given[0])
    columns = plain_columns(given)
    if source.target is None:
        raise ConfigError(f"target: expected the name of a column of {source.data!r}, one of {_listed(columns)}")
    if source.target not in columns:
        raise ConfigError(
            f"target: {source.data!r} has no column {source.target!r}{nearest(source.target, list(columns))}; "
            f"expected one of {_listed(columns)}"
        )
    target = columns.pop(source.target)
    return columns, target, declared_categories(given)


def _listed(columns: PlainColumns) -> str:
    names = list(columns)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _read(data: str) -> Any:
    if data in BUILT_IN:
        return BUILT_IN[data]()
    if is_import_target(data):
        return _called(data)
    path = located(data)
    if path is None or not path.is_file():
        raise ConfigError(
            f"data: no table is called {data!r}, and there is no such file here or beside the config; expected one of "
            f"{', '.join(BUILT_IN)}, a .csv, .tsv or .parquet file, or an import target "
            f"package.module:function{nearest(data, list(BUILT_IN))}"
        )
    return frame_from(path)


def _called(target: str) -> Any:
    function = find("data", target)
    try:
        return function()
    except EmopruneError:
        raise
    except Exception as error:  # a stranger's code may raise anything; its own error is the cause
        raise ConfigError(f"data: {target!r} raised {type(error).__name__}: {error}; mend it there") from error
