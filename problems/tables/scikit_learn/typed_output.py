"""Features as a frame of pandas or polars: kept columns as they came, new ones as floats or as categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.features import Features, Values, source_of
from emoprune.problems.tables.standalone.readings import label

__all__ = ["modelled_frame", "typed_columns", "typed_frame"]

Columns = Mapping[str, NDArray[Any]]
SPANS = ("timedelta", "duration", "time")  # how types of spans begin
WHOLE = ("int", "uint")  # ... and those of whole numbers, which are no floats where these could not hold them


def typed_frame(features: Features, columns: Columns, frame: Any, library: str) -> Any:
    """Return the features of a frame's rows as a frame.

    A kept column has the type that it has in `frame`, unless that is of another library; texts that are numbers and
    dates come out as the numbers that they were read as.

    Args:
        features: The features, n of them.
        columns: The frame's columns, plain, by the names in the features' records.
        frame: What was given, with these columns in this order if it has any.
        library: pandas or polars.
    """
    made, names = typed_columns(features, columns, frame, library), features.names
    if library == "polars":
        import polars

        return polars.DataFrame([polars.Series(name, each) for name, each in zip(names, made, strict=True)])
    import pandas as pd

    index = frame.index if _is_of(frame, library) else None
    joined = pd.DataFrame({place: _indexed(each, index) for place, each in enumerate(made)}, index=index)
    return joined.set_axis(names, axis=1)


def typed_columns(features: Features, columns: Columns, frame: Any, library: str) -> list[Any]:
    """Return what `typed_frame` makes a frame of, column by column."""
    own = _own_columns(frame, columns) if _is_of(frame, library) else {}
    typed = _of_pandas if library == "pandas" else _of_polars
    made = []
    for feature, values in zip(features.plan["features"], features.values(columns), strict=True):
        record = features.plan["nodes"][feature["node"]].get("column")
        came = own.get(source_of(record)) if record else None
        if came is not None and _is_as_it_came(record, columns[source_of(record)], str(came.dtype).lower()):
            made.append(came)
        else:
            made.append(typed(values, record.get("categories", ()) if record else range(values.levels)))
    return made


def _is_of(frame: Any, library: str) -> bool:
    return type(frame).__module__.partition(".")[0] == library


def modelled_frame(
    features: Features, frame: Any, names: Sequence[str], library: str, *, index: Any = None, missing: str | None = None
) -> Any:
    """Return the features of a frame's rows as a frame of floats and categories, the same ones for all rows.

    Args:
        features: The features, n of them.
        frame: The columns that they need.
        names: What the features are called.
        library: pandas or polars.
        index: The labels of the rows in pandas; None numbers them.
        missing: What a missing or unseen category is called; None leaves it missing.
    """
    typed = _of_pandas if library == "pandas" else _of_polars
    made = []
    for feature, values in zip(features.plan["features"], features.values(frame), strict=True):
        record = features.plan["nodes"][feature["node"]].get("column")
        categories = list(record.get("categories", ()) if record else range(values.levels))
        if missing is not None and values.numbers is None:
            categories = list(dict.fromkeys([*map(label, categories), missing]))
            codes = np.nan_to_num(values.as_input(), nan=categories.index(missing)).astype(np.int64)
            made.append(typed(Values(None, codes, len(categories)), categories))
        else:
            made.append(typed(values, categories))
    if library == "polars":
        import polars

        return polars.DataFrame([polars.Series(name, each) for name, each in zip(names, made, strict=True)])
    import pandas as pd

    joined = pd.DataFrame({place: _indexed(each, index) for place, each in enumerate(made)}, index=index)
    return joined.set_axis(list(names), axis=1)


def _own_columns(frame: Any, columns: Columns) -> dict[str, Any]:
    """Return a frame's columns by the names of the plain ones, which may be more texts than its own."""
    return dict(zip(columns, (frame[name] for name in frame.columns), strict=True))


def _is_as_it_came(record: Mapping[str, Any], column: NDArray[Any], dtype: str) -> bool:
    """Whether a column was read as what it is: not texts, dates or objects as numbers, nor spans of time as days."""
    if record["kind"] == "categorical":
        return True
    if "part" in record or dtype.startswith((*SPANS, "object")):
        return False
    return column.dtype.kind == "f" or dtype.startswith(WHOLE)


def _indexed(column: Any, index: Any) -> Any:
    import pandas as pd

    return column if isinstance(column, pd.Series) else pd.Series(column, index=index)


def _of_pandas(values: Values, categories: Sequence[Any]) -> Any:
    import pandas as pd

    if values.numbers is not None:
        return values.numbers
    return pd.Categorical.from_codes(_codes(values), categories=pd.Index(list(categories)))


def _of_polars(values: Values, categories: Sequence[Any]) -> Any:
    import polars

    if values.numbers is not None:
        return values.numbers
    labels = list(map(str, categories))
    known = np.array([*labels, None], dtype=object)
    return polars.Series(known[_codes(values)].tolist(), dtype=polars.Enum(labels))


def _codes(values: Values) -> NDArray[np.int64]:
    """Return codes with -1 where the category is missing or unseen."""
    return np.nan_to_num(values.as_input(), nan=-1).astype(np.int64)
