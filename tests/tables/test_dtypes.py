"""Columns of every type that pandas, polars, Arrow and numpy have, read by one reader: with gaps, and to the value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.frames import declared_categories, plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.readings import coded, numbers
from emoprune.problems.tables.table import Table

NAN = float("nan")
LARGE = 2**60
MORNING = dt.datetime(2024, 3, 1, 6, 0)  # noqa: DTZ001  # columns without a zone are what is read here
NOON = dt.datetime(2024, 3, 1, 12, 0, tzinfo=dt.timezone(dt.timedelta(hours=2)))

NUMBERS: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.array([1.0, NAN, 3.0]),
    "numpy objects": lambda: np.array([1, None, 3.0], dtype=object),
    "masked": lambda: np.ma.masked_array([1, 2, 3], mask=[False, True, False]),
    "lists": lambda: [1, None, 3],
    **{
        f"pandas {dtype}": lambda dtype=dtype: pd.Series([1, None, 3], dtype=dtype)
        for dtype in ("float32", "Int8", "Int64", "UInt16", "Float32", "int64[pyarrow]", "double[pyarrow]", "object")
    },
    "pandas NA objects": lambda: pd.Series([1, pd.NA, 3], dtype=object),
    "pandas sparse": lambda: pd.Series([1.0, NAN, 3.0], dtype="Sparse[float]"),
    "pandas decimal": lambda: pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "decimals": lambda: pd.Series([Decimal(1), None, Decimal(3)]),
    **{
        f"polars {dtype}": lambda dtype=dtype: pl.Series([1, None, 3], dtype=dtype)
        for dtype in (pl.Int8, pl.Int64, pl.UInt32, pl.UInt64, pl.Int128, pl.Float32, pl.Decimal(10, 2))
    },
    "arrow": lambda: pa.chunked_array([[1, None], [3]]),
    "arrow decimals": lambda: pa.array([Decimal(1), None, Decimal(3)]),
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_numbers_with_a_gap_are_floats_with_a_gap(make: Callable[[], Any]) -> None:
    np.testing.assert_array_equal(plain(make()), [1.0, NAN, 3.0])
    assert plain(make()).dtype == np.float64


TEXTS: dict[str, Callable[[], Any]] = {
    "numpy objects": lambda: np.array(["a", None, "b"], dtype=object),
    "pandas NA objects": lambda: pd.Series(["a", pd.NA, "b"], dtype=object),
    "pandas NaN objects": lambda: pd.Series(["a", NAN, "b"], dtype=object),
    **{
        f"pandas {dtype}": lambda dtype=dtype: pd.Series(["a", pd.NA, "b"], dtype=dtype)
        for dtype in ("str", "string", "string[python]", "string[pyarrow]", "category")
    },
    "pandas large string": lambda: pd.Series(["a", None, "b"], dtype=pd.ArrowDtype(pa.large_string())),
    "pandas dictionary": lambda: pd.Series(
        ["a", None, "b"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    ),
    "pandas string category": lambda: pd.Series(["a", pd.NA, "b"], dtype="string").astype("category"),
    "polars": lambda: pl.Series(["a", None, "b"]),
    "polars categories": lambda: pl.Series(["a", None, "b"], dtype=pl.Categorical),
    "polars enum": lambda: pl.Series(["a", None, "b"], dtype=pl.Enum(["b", "a"])),
    "arrow": lambda: pa.array(["a", None, "b"]),
    "arrow dictionary": lambda: pa.array(["a", None, "b"]).dictionary_encode(),
}


@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS)
def test_texts_with_a_gap_are_texts_with_a_gap(make: Callable[[], Any]) -> None:
    assert plain(make()).tolist() == ["a", None, "b"]


TRUTHS: dict[str, Callable[[], Any]] = {
    "objects": lambda: pd.Series([True, None, False], dtype=object),
    "pandas NA objects": lambda: pd.Series([True, pd.NA, False], dtype=object),
    "pandas boolean": lambda: pd.Series([True, None, False], dtype="boolean"),
    "pandas arrow": lambda: pd.Series([True, None, False], dtype="bool[pyarrow]"),
    "pandas category": lambda: pd.Series([True, None, False], dtype="category"),
    "polars": lambda: pl.Series([True, None, False]),
    "arrow": lambda: pa.array([True, None, False]),
}


@pytest.mark.parametrize("make", TRUTHS.values(), ids=TRUTHS)
def test_truth_values_with_a_gap_are_ones_and_noughts(make: Callable[[], Any]) -> None:
    np.testing.assert_array_equal(plain(make()), [1.0, NAN, 0.0])


DATES: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.array(["2024-03-01T06", "NaT"], dtype="datetime64[h]"),
    "objects": lambda: pd.Series([MORNING, None], dtype=object),
    "pandas": lambda: pd.Series([MORNING, pd.NaT]),
    "pandas zone": lambda: pd.Series([MORNING, pd.NaT]).dt.tz_localize("UTC").dt.tz_convert("America/Lima"),
    "pandas arrow": lambda: pd.Series([MORNING, None], dtype="timestamp[ns][pyarrow]"),
    "pandas arrow zone": lambda: pd.Series(
        [MORNING.replace(tzinfo=dt.UTC), None], dtype=pd.ArrowDtype(pa.timestamp("us", "Asia/Tokyo"))
    ),
    "pandas category": lambda: pd.Series([MORNING, pd.NaT]).astype("category"),
    "pandas period": lambda: pd.Series([pd.Period("2024-03-01T06", freq="h"), pd.NaT]),
    "polars": lambda: pl.Series([MORNING, None]),
    "polars zone": lambda: pl.Series([MORNING, None]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
    "arrow": lambda: pa.array([MORNING, None]),
    "zones": lambda: pd.Series([NOON - dt.timedelta(hours=4), None], dtype=object),
}


@pytest.mark.parametrize("make", DATES.values(), ids=DATES)
def test_moments_are_moments_without_a_zone_and_in_utc(make: Callable[[], Any]) -> None:
    found = plain(make())
    assert found.dtype == np.dtype("datetime64[us]")
    np.testing.assert_array_equal(found, np.array(["2024-03-01T06", "NaT"], dtype="datetime64[us]"))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([dt.date(1970, 1, 3), None], dtype=object),
        pd.Series([dt.date(1970, 1, 3), None], dtype="date32[pyarrow]"),
        pl.Series([dt.date(1970, 1, 3), None]),
        pa.array([dt.date(1970, 1, 3), None]),
    ],
    ids=["objects", "pandas", "polars", "arrow"],
)
def test_days_are_moments_too(column: Any) -> None:
    np.testing.assert_array_equal(numbers(plain(column)), [2.0, NAN])


@pytest.mark.parametrize(
    "column",
    [
        np.array([36, "NaT"], dtype="timedelta64[h]"),
        pd.Series([pd.Timedelta(hours=36), pd.NaT]),
        pd.Series([dt.timedelta(hours=36), None], dtype="duration[ns][pyarrow]"),
        pl.Series([dt.timedelta(hours=36), None]),
        [dt.timedelta(hours=36), None],
    ],
    ids=["numpy", "pandas", "pandas arrow", "polars", "objects"],
)
def test_spans_of_time_are_days(column: Any) -> None:
    np.testing.assert_array_equal(plain(column), [1.5, NAN])


@pytest.mark.parametrize(
    "column",
    [
        np.array([LARGE, LARGE + 1]),
        np.array([LARGE, LARGE + 1], dtype=np.uint64),
        np.array([LARGE, LARGE + 1, None], dtype=object),
        pd.Series([LARGE, LARGE + 1]),
        pd.Series([LARGE, LARGE + 1, None], dtype="Int64"),
        pd.Series([LARGE, LARGE + 1, None], dtype="int64[pyarrow]"),
        pd.Series([LARGE, LARGE + 1, None], dtype="Int64").astype("category"),
        pl.Series([LARGE, LARGE + 1, None]),
        pl.Series([LARGE, LARGE + 1, None], dtype=pl.Int128),
        pa.array([LARGE, LARGE + 1, None]),
    ],
    ids=lambda column: f"{type(column).__module__.split('.')[0]} {getattr(column, 'dtype', '')}",
)
def test_whole_numbers_that_floats_do_not_tell_apart_stay_whole(column: Any) -> None:
    assert plain(column)[:2].tolist() == [LARGE, LARGE + 1]
    codes = coded(plain(column), (LARGE, LARGE + 1))
    assert codes.tolist() == [0, 1, 2][: len(column)]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([[1, 2], [3]]),
        pl.Series([[1, 2], [3]]),
        pl.Series([{"a": 1}, {"a": 2}]),
        pa.array([[1], [2]]),
        np.array([1j, 2j]),
        pd.Series([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    ],
    ids=["pandas", "polars", "records", "arrow", "complex", "pandas arrow"],
)
def test_what_is_no_single_value_is_refused_by_its_column_s_name(column: Any) -> None:
    with pytest.raises(ConfigError, match=r"column 'tags': (expected|found).*; make columns of it, or leave it out"):
        plain_columns({"tags": column})


def table_with(column: Any, **wanted: Any) -> Table:
    """Return the table of a column and of a number beside it, whose declared categories are categories."""
    frame = {"own": column, "x": np.arange(float(len(column))) ** 1.5}
    named = {"categorical": declared_categories(frame), **wanted}
    return table_of(plain_columns(frame), np.array(["a", "b"] * (len(column) // 2), dtype=object), Wanted(**named))


def test_categories_that_are_numbers_are_categories_still() -> None:
    for column in (
        pd.Series([10, 9, None, 2] * 10, dtype="Int64").astype("category"),
        pd.Series(pd.Categorical([10, 9, None, 2] * 10)),
    ):
        own = table_with(column).columns[0]
        assert own.kind.value == "categorical"
        assert own.categories == (2, 9, 10)
    assert table_with(pd.Series([True, False, False, True] * 10, dtype="category")).columns[0].categories == (0, 1)
    assert table_with(pl.Series(["1", "2", None, "2"] * 10, dtype=pl.Enum(["1", "2"]))).columns[0].categories == (
        "1",
        "2",
    )
    dictionary = pl.from_arrow(pa.array(["2", "1", "1", "2"] * 10).dictionary_encode())
    assert table_with(dictionary).columns[0].kind.value == "categorical"


def test_ids_of_64_bits_are_categories_that_stay_distinct() -> None:
    ids = np.array([LARGE + number for number in range(4)] * 10)
    for wanted in ({}, {"categorical": ("own",)}):
        data = table_with(ids, **wanted)
        assert data.columns[0].categories == tuple(LARGE + number for number in range(4))
        assert data.values[0].codes[:4].tolist() == [0, 1, 2, 3]  # type: ignore[index]  # it has codes
    assert "floats would not tell such large numbers apart" in table_with(ids).notes[0]


def test_large_numbers_that_floats_tell_apart_are_numbers() -> None:
    data = table_with(np.arange(40) * 2**55)
    assert data.columns[0].kind.value == "numerical"
    assert data.notes == ()


@pytest.mark.parametrize("as_texts", [False, True])
def test_a_code_is_the_same_however_a_category_is_written(as_texts: bool) -> None:
    categories = ("1", "2") if as_texts else (1, 2)
    for rows in ([1, 2], [1.0, 2.0], ["1", "2"], [Decimal(1), Decimal(2)], np.array([1, 2], dtype=np.uint8)):
        assert coded(plain(rows), categories).tolist() == [0, 1]
    assert coded(plain(["3", None, "?", "x", " NA "]), categories).tolist() == [3, 2, 2, 3, 2]


def test_structured_arrays_arrow_tables_and_batches_are_frames() -> None:
    made = np.array([(1, "a"), (2, "b")], dtype=[("size", int), ("city", "U5")])
    arrow = pa.table({"size": [1, 2], "city": ["a", "b"]})
    for frame in (made, arrow, arrow.to_batches()[0], pd.DataFrame(made), pl.DataFrame(arrow)):
        found = plain_columns(frame)
        assert found["size"].tolist() == [1.0, 2.0]
        assert found["city"].tolist() == ["a", "b"]
