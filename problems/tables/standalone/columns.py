"""Read the columns of any frame as numbers, dates, texts or whole numbers beyond floats; needs numpy, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT = 2**53  # whole numbers up to here are told apart by floats
DAY = np.timedelta64(1, "D")
NUMBERS = (bool, int, float, np.number, np.bool_, Decimal, Fraction)
DATES = (date, np.datetime64)  # a datetime is a date
SPANS = (timedelta, np.timedelta64, time)


def plain(column: Any) -> NDArray[Any]:
    """Return a column as float64 with NaN, datetime64[us] with NaT, or objects: texts, whole numbers and None.

    Truth values are 1 and 0, spans of time are days, moments with a zone are in UTC. Whole numbers are objects only
    where one of them is larger than a float can hold exactly.

    Raises:
        ValueError: It holds lists, records, complex numbers, or anything else that is not one value per row.
    """
    if hasattr(column, "isna") and hasattr(column, "dtype"):
        return _of_pandas(column)
    if hasattr(column, "is_null") and hasattr(column, "to_list") and hasattr(column, "dtype"):
        return _of_polars(column)
    if hasattr(column, "to_pylist"):
        return _of_objects(column.to_pylist())
    array = np.asarray(column.to_numpy()) if hasattr(column, "to_numpy") else _array(column)
    return _of_array(array, np.zeros(len(array), bool))


def _array(column: Any) -> NDArray[Any]:
    if isinstance(column, np.ma.MaskedArray):
        return _filled(column.compressed().tolist(), np.ma.getmaskarray(column))
    return column if isinstance(column, np.ndarray) else np.fromiter(column, dtype=object, count=len(column))


def _of_pandas(column: Any) -> NDArray[Any]:
    dtype, missing = column.dtype, np.asarray(column.isna(), dtype=bool)
    if hasattr(dtype, "categories"):
        return _taken(plain(dtype.categories), np.asarray(getattr(column, "cat", column).codes))
    if str(dtype).startswith("period"):
        return _of_pandas(getattr(column, "dt", column).to_timestamp())
    return _of_array(_pandas_array(column, str(dtype)), missing)


def _taken(labels: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Return the labels of codes, of which -1 is a gap."""
    gaps = {"f": np.array([np.nan]), "M": np.array(["NaT"], dtype="datetime64[us]")}
    known = np.concatenate([labels, gaps.get(labels.dtype.kind, np.array([None], dtype=object))])
    return np.asarray(known[codes])


def _pandas_array(column: Any, name: str) -> NDArray[Any]:
    """Return the values of a series or an index; whatever fits the type stands in a gap."""
    if isinstance(column.dtype, np.dtype) or name.startswith("Sparse"):
        return np.asarray(column)
    if name.startswith("datetime64["):
        return np.asarray(getattr(column, "dt", column).tz_convert(None).to_numpy())
    kinds = {"i": ("int64", 0), "u": ("uint64", 0), "b": ("bool", False), "f": ("float64", np.nan)}
    dtype, gap = kinds.get(getattr(column.dtype, "kind", "O"), ("object", None))
    return np.asarray(column.to_numpy(dtype=dtype, na_value=gap))


def _of_polars(column: Any) -> NDArray[Any]:
    missing, name = np.asarray(column.is_null().to_numpy(), dtype=bool), str(column.dtype)
    if name.startswith("Datetime") and getattr(column.dtype, "time_zone", None):
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if name.startswith(("Datetime", "Duration", "Float")) or name == "Date":
        return _of_array(np.asarray(column.to_numpy()), missing)
    if name.startswith(("Int", "UInt", "Boolean")) and not name.endswith("128"):
        return _of_array(np.asarray(column.fill_null(value=0 if name[0] != "B" else False).to_numpy()), missing)
    return _of_objects(column.to_list())


def _of_objects(values: Sequence[Any]) -> NDArray[Any]:
    array = np.fromiter(values, dtype=object, count=len(values))
    return _of_array(array, np.zeros(len(array), bool))


def _of_array(array: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    kind = array.dtype.kind
    if array.ndim != 1:
        raise ValueError(f"expected one value per row, found an array of shape {array.shape}")
    if kind in "iu":
        return _whole(array, missing)
    if kind in "bf":
        return np.where(missing, np.nan, array.astype(np.float64))
    if kind == "M":
        return np.where(missing, np.datetime64("NaT", "us"), array.astype("datetime64[us]"))
    if kind == "m":
        return np.where(missing | np.isnat(array), np.nan, array / DAY)
    if kind in "US":
        array = array.astype(object)
    if array.dtype.kind != "O":
        raise ValueError(f"expected numbers, dates or texts, found values of type {array.dtype}")
    if set(map(type, array)) <= {str, type(None)}:  # most columns of texts, and much the faster way
        return np.where(missing, np.array(None, dtype=object), array)
    gaps = missing | np.fromiter(map(is_missing, array), bool, len(array))
    return _of_mixed(array, gaps)


def _whole(array: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Return whole numbers as floats where all of them can be, and else as they are."""
    present = array[~missing]
    if len(present) and (int(present.max()) > EXACT or int(present.min()) < -EXACT):
        return _filled(present.tolist(), missing)
    return np.where(missing, np.nan, array.astype(np.float64))


def _filled(present: Sequence[Any], missing: NDArray[np.bool_]) -> NDArray[np.object_]:
    found = np.full(len(missing), None, dtype=object)
    found[~missing] = np.fromiter(present, dtype=object, count=len(present))
    return found


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT or NA."""
    if isinstance(value, str):
        return False
    if value is None or str(type(value)).endswith(("NAType'>", "NaTType'>")):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating | Decimal) and value != value  # noqa: PLR0124  # NaN is not itself


def _of_mixed(array: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Return objects as what all of them are, and as texts where they are of several kinds."""
    present = array[~missing]
    if all(isinstance(value, NUMBERS) for value in present):
        counted = [value if isinstance(value, Decimal | Fraction) else value + 0 for value in present]
        if any(isinstance(value, int | np.integer) and abs(int(value)) > EXACT for value in counted):
            return _filled([exact(value) for value in counted], missing)
        numbers = np.full(len(array), np.nan)
        numbers[~missing] = [float(value) for value in counted]
        return numbers
    if all(isinstance(value, DATES) for value in present):
        moments = np.full(len(array), np.datetime64("NaT", "us"))
        moments[~missing] = [moment(value) for value in present]
        return moments
    if all(isinstance(value, SPANS) for value in present):
        days = np.full(len(array), np.nan)
        days[~missing] = [_days(value) for value in present]
        return days
    return _filled([_text(value) for value in present], missing)


def exact(value: Any) -> Any:
    """Return a number as an exact int where it is whole, and else as a float."""
    if isinstance(value, int | np.integer):
        return int(value)
    real = float(value)
    return int(real) if real.is_integer() else real


def moment(value: date | np.datetime64) -> np.datetime64:
    """Return a date or a time as a moment without a zone, in UTC if it had one."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    moments: list[np.datetime64] = list(np.array([value], dtype="datetime64[us]"))
    return moments[0]


def _days(value: timedelta | np.timedelta64 | time) -> float:
    if isinstance(value, time):
        value = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return float(np.timedelta64(value) / DAY)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, list | dict | set | tuple | np.ndarray | complex) or hasattr(value, "to_list"):
        raise ValueError(f"expected one number, date or text per row, found {type(value).__name__} {str(value)[:40]!r}")
    if isinstance(value, DATES):
        return date_text(moment(value))
    is_number = isinstance(value, NUMBERS) and not isinstance(value, bool | np.bool_)
    return str(exact(value)) if is_number else str(value)


def date_text(moment: np.datetime64) -> str:
    """Return a moment by ISO 8601; of midnight the day alone."""
    return str(moment).removesuffix(".000000").removesuffix("T00:00:00")
