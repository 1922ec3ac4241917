"""What a scikit-learn estimator on tables is given: a frame, a target and groups, checked and made into a table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d, validate_data

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.frames import check_names, declared_categories, names_of, plain_columns
from emoprune.problems.tables.reading.lazily import is_lazy, row_count, rows_of
from emoprune.problems.tables.reading.making import TaskName, Wanted, table_of, without_columns
from emoprune.problems.tables.rows.drawing import Drawing, Drawn
from emoprune.problems.tables.scikit_learn.all_rows import check_all_rows
from emoprune.problems.tables.standalone.columns import is_missing, plain
from emoprune.problems.tables.table import Table, Task

__all__ = ["Given", "columns_given", "names_given", "tables_given", "tidy"]

DENSE = 2**31  # bytes that a sparse matrix may take once it is dense


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What `fit` was given: a table by the name of each output, of all rows or of those that were drawn, all alike.

    `frame` is what rows were drawn from, so that what is chosen is learnt on all of them; None where none are missing.
    """

    tables: Mapping[str, Table]
    frame: Any = None
    drawn: Drawn | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is given besides columns: plain targets, each with its task, groups and weights."""

    outputs: Mapping[str, tuple[NDArray[Any], TaskName]]
    groups: NDArray[Any] | None
    weights: NDArray[np.float64] | None

    @classmethod
    def of(cls, target: Any, groups: Any, weights: Any, task: TaskName) -> _Rows:
        """Return what was given as plain arrays; a type that says so makes classes of a target."""
        made_of = _groups(groups)
        outputs: dict[str, tuple[NDArray[Any], TaskName]] = {
            name: (values, "classification" if task == "auto" and of_classes else task)
            for name, (values, of_classes) in _outputs(target).items()
        }
        return cls(outputs, made_of, _numbers(weights))

    def without_columns(self, wanted: Wanted, count: int) -> dict[str, Table]:
        """Return a table of each target alone, of `count` rows."""
        check_consistent_length(np.empty(count), *(values for values, _ in self.outputs.values()))
        return {
            name: without_columns(values, replace(wanted, task=task), groups=self.groups, weights=self.weights)
            for name, (values, task) in self.outputs.items()
        }

    def at(self, places: NDArray[np.int64], tables: Mapping[str, Table]) -> _Rows:
        """Return what is given of some rows, with the tasks that all rows have."""
        groups, weights = (None if each is None else each[places] for each in (self.groups, self.weights))
        tasks: dict[str, TaskName] = {
            name: "regression" if table.task is Task.REGRESSION else "classification" for name, table in tables.items()
        }
        outputs = {name: (values[places], tasks[name]) for name, (values, _) in self.outputs.items()}
        return _Rows(outputs, groups, weights)


def tables_given(
    estimator: Any,
    frame: Any,
    target: Any,
    wanted: Wanted,
    *,
    groups: Any = None,
    weights: Any = None,
    drawing: Drawing = Drawing(),  # noqa: B008  # it is frozen
) -> Given:
    """Return the tables of what `fit` was given, and warn of what was converted.

    Raises:
        ValueError: The data cannot be used; the message says what to change.
    """
    if target is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    frame = tidy(frame)
    if drawing.leaves(_many(frame)):
        given = _drawn(estimator, frame, _Rows.of(target, groups, weights, wanted.task), wanted, drawing)
    else:
        frame = frame.collect() if is_lazy(frame) else frame
        columns = columns_given(estimator, frame, reset=True)
        given = Given(_tables(frame, columns, _Rows.of(target, groups, weights, wanted.task), wanted))
    for note in dict.fromkeys(note for table in given.tables.values() for note in table.notes):
        warnings.warn(f"{type(estimator).__name__}: {note}", stacklevel=3)
    return given


def _many(frame: Any) -> int:
    """Return how many rows there are to draw from; none in what is no frame or matrix yet."""
    return row_count(frame) if is_lazy(frame) or len(getattr(frame, "shape", ())) == 2 else 0


def _drawn(estimator: Any, frame: Any, rows: _Rows, wanted: Wanted, drawing: Drawing) -> Given:
    """Draw rows by the first target of classes, or else the first one, and make their tables."""
    alone = rows.without_columns(wanted, row_count(frame))
    of_classes = [table for table in alone.values() if table.task is not Task.REGRESSION]
    drawn = drawing.of([*of_classes, *alone.values()][0])
    some = rows_of(frame, drawn.places)
    columns = columns_given(estimator, some, reset=True)
    made = _tables(some, columns, rows.at(drawn.places, alone), wanted)
    mark = " ".join(table.digest() for table in alone.values())
    tables = {name: replace(each, notes=(drawn.said, *each.notes), drawn_from=mark) for name, each in made.items()}
    of_texts = [name for name, column in columns.items() if column.dtype.kind == "O"]
    check_all_rows(frame, next(iter(tables.values())), of_texts)
    return Given(tables, frame, drawn)


def _tables(frame: Any, columns: Mapping[str, NDArray[Any]], rows: _Rows, wanted: Wanted) -> dict[str, Table]:
    declared = declared_categories(frame) if hasattr(frame, "columns") else ()
    named = wanted.declaring(declared)
    found: dict[str, Table] = {}
    for name, (values, task) in rows.outputs.items():
        check_consistent_length(next(iter(columns.values())), values)
        own = replace(named, task=task)
        found[name] = table_of(dict(columns), values, own, groups=rows.groups, weights=rows.weights, copies="warn")
    return found


def names_given(option: str, names: Any) -> tuple[str, ...]:
    """Return the names of columns as the texts that columns are called by; a name alone is refused, not spelt out."""
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise ConfigError(f"{option}: expected a list of names of columns, found {names!r}; write [{names!r}]")
    return tuple(map(str, names))


def _outputs(target: Any) -> dict[str, tuple[NDArray[Any], bool]]:
    """Return plain targets, and whether its type says that one holds classes: by name where there are several."""
    if is_lazy(target):
        collected = target.collect()
        target = collected.to_series() if collected.width == 1 else collected
    if len(getattr(target, "shape", ())) == 2 and target.shape[1] > 1:
        if isinstance(target, np.ndarray):
            return {f"y{place}": _output(column) for place, column in enumerate(target.T)}
        keys = getattr(target, "column_names", target.columns)  # those of Arrow's tables are columns themselves
        return {name: _output(target[key]) for name, key in zip(names_of(target), keys, strict=True)}
    return {"": _output(target)}


def _output(target: Any) -> tuple[NDArray[Any], bool]:
    if hasattr(target, "dtype") and not isinstance(target, np.ndarray) and len(getattr(target, "shape", ())) == 1:
        return plain(target), bool(declared_categories({"y": target}))
    return plain(np.asarray(column_or_1d(target, warn=True))), False


def _numbers(weights: Any) -> NDArray[np.float64] | None:
    try:
        return None if weights is None else np.asarray(weights, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"weights: expected a number for each row as sample_weight: {error}") from error


def _groups(groups: Any) -> NDArray[Any] | None:
    try:
        return None if groups is None else plain(groups)
    except ValueError as error:
        raise ConfigError(f"groups: {error}; give one column") from error


def columns_given(estimator: Any, frame: Any, *, reset: bool) -> dict[str, NDArray[Any]]:
    """Return plain columns under the names of `fit`, checked as scikit-learn checks; `reset` takes the names on."""
    frame = tidy(frame)
    frame = frame.collect() if is_lazy(frame) else frame
    loaded = not reset and not hasattr(estimator, "n_features_in_")
    if hasattr(frame, "columns"):
        check_names(frame)  # before scikit-learn, which says of two columns of one name what a library of its says
        if not loaded:
            validate_data(estimator, frame, reset=reset, skip_check_array=True)
        columns = plain_columns(frame)
        if loaded:
            return columns
        _check_rows(columns, fewest=2 if reset else 1)
    else:
        array = check_array(
            frame, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=2 if reset else 1, estimator=estimator
        )
        validate_data(estimator, array, reset=reset, skip_check_array=True)
        columns = plain_columns(array)
    if not reset and hasattr(estimator, "feature_names_in_") and not hasattr(frame, "columns"):
        return dict(zip(map(str, estimator.feature_names_in_), columns.values(), strict=True))
    return columns


def tidy(frame: Any) -> Any:
    """Return a frame for an Arrow table or columns by name; objects without pandas' NA, which scikit-learn refuses."""
    if hasattr(frame, "column_names") and hasattr(frame, "schema"):
        import polars

        return polars.from_arrow(frame)
    if hasattr(frame, "tocsc") and hasattr(frame, "toarray"):
        if np.prod(frame.shape) * 8 > DENSE:
            raise ValueError(
                f"expected a sparse matrix of at most {DENSE // 8:,} cells, found {frame.shape}: formulas have a value "
                "in every row, so it is made dense; choose columns first, as SelectKBest does"
            )
        return frame.toarray()
    if isinstance(frame, Mapping) or (isinstance(frame, np.ndarray) and frame.dtype.names):
        import pandas as pd

        return pd.DataFrame(frame)
    if isinstance(frame, np.ma.MaskedArray):
        return np.ma.filled(frame.astype(np.float64 if frame.dtype.kind in "biuf" else object), np.nan)
    if isinstance(frame, np.ndarray) and frame.dtype.kind == "O":
        gaps = np.array([is_missing(value) for value in frame.flat], dtype=bool).reshape(frame.shape)
        return np.array(np.where(gaps, np.nan, frame), dtype=object)
    return frame


def _check_rows(columns: Mapping[str, NDArray[Any]], fewest: int) -> None:
    if not columns:
        raise ValueError("expected at least one column, found a frame with 0 feature(s); give one with columns")
    rows = len(next(iter(columns.values())))
    if rows < fewest:
        raise ValueError(f"expected at least {fewest} rows, found {rows} sample(s); give more data")
