"""Names in a config to tables: a built-in set, a file, or an import target `package.module:function`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError, EmopruneError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.storage.located import located
from emoprune.problems.tables.reading.built_in import BUILT_IN
from emoprune.problems.tables.reading.files import frame_from, lazy_frame_from, rows_in
from emoprune.problems.tables.reading.frames import PlainColumns, declared_categories, plain_columns
from emoprune.problems.tables.reading.lazily import is_lazy, names_in, row_count, rows_of
from emoprune.problems.tables.reading.making import Wanted, table_of, without_columns
from emoprune.problems.tables.reading.texts import meaning_of
from emoprune.problems.tables.rows.drawing import Drawing
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.readings import numbers
from emoprune.problems.tables.table import Table, Task

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
    drawing: Drawing = field(default_factory=Drawing)

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """The options that name a column besides the target, with the column."""
        given = (("groups", self.groups), ("time", self.time), ("weights", self.weights))
        return tuple((option, name) for option, name in given if name is not None)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What was read of a source: its columns by name, and the target.

    Of a `lazy` frame `columns` are those that rows are drawn by, until rows are taken.
    """

    names: Sequence[str]
    columns: PlainColumns
    target: NDArray[Any]
    declared: tuple[str, ...] = ()
    lazy: Any = None

    def at(self, places: NDArray[np.int64]) -> _Read:
        """Return rows with all their columns, in the order of `places`."""
        target = self.target[places]
        if self.lazy is None:
            columns = {name: column[places] for name, column in self.columns.items()}
            return _Read(self.names, columns, target, self.declared)
        order = np.argsort(places)
        frame, back = rows_of(self.lazy, places[order]), np.argsort(order)
        columns = {name: column[back] for name, column in plain_columns(frame.select(self.names)).items()}
        return _Read(self.names, columns, target, declared_categories(frame))


def read_table(source: Source) -> Table:
    """Read and check a table; with a `time` column its rows are sorted by it.

    Of a file with more rows than are drawn only these are read whole, and of the others the target, groups, the time
    and weights.

    Raises:
        ConfigError: There is no such data or column, or it cannot be used.
    """
    read = _columns_and_target(source)
    for option, name in source.named:
        if name not in read.names:
            raise ConfigError(f"{option}: there is no column {name!r}{nearest(name, list(read.names))}")
    wanted, drawn, mark = source.wanted, None, ""
    places = np.arange(len(read.target)) if source.time is None else _by_time(source.time, read.columns[source.time])
    if source.drawing.leaves(len(places)):
        alone = _without_columns(source, read, places)
        drawn, mark = source.drawing.of(alone), alone.digest()
        wanted = replace(wanted, task="regression" if alone.task is Task.REGRESSION else "classification")
        places = places[drawn.places]
    if drawn is not None or source.time is not None:
        read = read.at(places)
    columns = dict(read.columns)
    groups = None if source.groups is None else columns.pop(source.groups)
    weights = None if source.weights is None else _weights(source.weights, columns.pop(source.weights))
    named = wanted.declaring(name for name in read.declared if name in columns)
    table = table_of(columns, read.target, named, groups=groups, weights=weights)
    return table if drawn is None else replace(table, notes=(drawn.said, *table.notes), drawn_from=mark)


def _without_columns(source: Source, read: _Read, places: NDArray[np.int64]) -> Table:
    """Return a table of the target alone, in the order of `places`, to draw rows from."""
    groups = None if source.groups is None else read.columns[source.groups][places]
    weights = None if source.weights is None else _weights(source.weights, read.columns[source.weights])[places]
    return without_columns(read.target[places], source.wanted, groups=groups, weights=weights)


def _weights(name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    try:
        return numbers(meaning_of(column, category=False).array)
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


def _columns_and_target(source: Source) -> _Read:
    """Return columns, the target, and which columns are declared categories."""
    given = _given(source)
    if isinstance(given, tuple) and len(given) == 2:
        frame, target = _whole(given[0]), plain(given[1])
        columns = plain_columns(frame)
        if any(len(column) != len(target) for column in columns.values()):
            raise ConfigError(f"data: {source.data!r}: expected a target for each row, found {len(target)} of them")
        return _Read(list(columns), columns, target, declared_categories(frame))
    lazy = given if is_lazy(given) and source.drawing.leaves(row_count(given)) else None
    given = _whole(given) if lazy is None else lazy
    names = names_in(given)
    if source.target is None:
        raise ConfigError(f"target: expected the name of a column of {source.data!r}, one of {_listed(names)}")
    if source.target not in names:
        raise ConfigError(
            f"target: {source.data!r} has no column {source.target!r}{nearest(source.target, names)}; "
            f"expected one of {_listed(names)}"
        )
    if lazy is not None:
        by = [name for _, name in source.named if name in names]
        given = lazy.select(list(dict.fromkeys([source.target, *by]))).collect(engine="streaming")
    columns = plain_columns(given)
    target = columns.pop(source.target)
    rest = [name for name in names if name != source.target]
    return _Read(rest, columns, target, declared_categories(given), lazy)


def _whole(frame: Any) -> Any:
    return frame.collect() if is_lazy(frame) else frame


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _given(source: Source) -> Any:
    """Return what a name stands for: a frame, lazy where rows of it are left out, or a frame and the target."""
    data = source.data
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
    many = source.drawing.rows is not None and source.drawing.leaves(rows_in(path))
    return lazy_frame_from(path) if many else frame_from(path)


def _called(target: str) -> Any:
    function = find("data", target)
    try:
        return function()
    except EmopruneError:
        raise
    except Exception as error:  # a stranger's code may raise anything; its own error is the cause
        raise ConfigError(f"data: {target!r} raised {type(error).__name__}: {error}; mend it there") from error
