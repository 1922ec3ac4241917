"""Dates: one treatment in fit, in transform and in an exported folder, of whatever type or format they come in."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, frame_of
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.objectives.contract import Seen
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.features import Features
from emoprune.problems.tables.standalone.readings import moments_of, numbers, part
from emoprune.problems.tables.subsets.export import write_features
from emoprune.problems.tables.table import Table

MOMENTS = [dt.datetime(2023, 11, 5) + dt.timedelta(days=3 * row, hours=row % 24) for row in range(100)]  # noqa: DTZ001  # zones come below
ALL = np.arange(100)


def table() -> Table:
    """Return the table of a column of moments with a gap, and of a number."""
    when = [None, *MOMENTS[1:]]
    columns = plain_columns({"when": when, "x": ALL**1.5})
    return table_of(columns, np.array(["a", "b"] * 50, dtype=object), Wanted())


def features() -> Features:
    data = table()
    return features_of(Computed(data), Block("all", ALL, ALL), data.terms)


def test_a_moment_becomes_days_parts_and_the_place_in_the_year_and_the_day() -> None:
    data = table()
    assert data.names == (
        "when",
        "month of when",
        "weekday of when",
        "hour of when",
        "sine of season of when",
        "cosine of season of when",
        "sine of hour of when",
        "cosine of hour of when",
        "x",
    )
    found = {name: values.as_input() for name, values in data.by_name().items()}
    row, moment = 30, MOMENTS[30]
    assert found["when"][row] == (moment - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)  # noqa: DTZ001  # no zone
    assert found["month of when"][row] == moment.month
    assert found["weekday of when"][row] == moment.weekday()
    assert found["hour of when"][row] == moment.hour
    year = (moment - dt.datetime(moment.year, 1, 1)) / dt.timedelta(days=365.25)  # noqa: DTZ001  # no zone
    np.testing.assert_allclose(found["sine of season of when"][row], np.sin(2 * np.pi * year))
    np.testing.assert_allclose(found["cosine of hour of when"][row], np.cos(2 * np.pi * moment.hour / 24))
    assert all(np.isnan(values[0]) for name, values in found.items() if name != "x")


UTC_MOMENTS = [moment.replace(tzinfo=dt.UTC) for moment in MOMENTS]
LIMA = dt.timezone(dt.timedelta(hours=-5))
WRITTEN: dict[str, Callable[[], Any]] = {
    "texts": lambda: [None, *(moment.isoformat() for moment in MOMENTS[1:])],
    "texts with blanks": lambda: ["NA", *(moment.isoformat(sep=" ") for moment in MOMENTS[1:])],
    "texts in UTC": lambda: ["", *(moment.isoformat().replace("+00:00", "Z") for moment in UTC_MOMENTS[1:])],
    "texts with a zone": lambda: [None, *(moment.astimezone(LIMA).isoformat() for moment in UTC_MOMENTS[1:])],
    "numpy": lambda: np.array(["NaT", *MOMENTS[1:]], dtype="datetime64[s]"),
    "objects with a zone": lambda: np.array([None, *(each.astimezone(LIMA) for each in UTC_MOMENTS[1:])], object),
    "pandas": lambda: pd.Series([pd.NaT, *MOMENTS[1:]]),
    "pandas zone": lambda: pd.Series([pd.NaT, *UTC_MOMENTS[1:]]).dt.tz_convert("Europe/Berlin"),
    "pandas arrow": lambda: pd.Series([None, *MOMENTS[1:]], dtype="timestamp[us][pyarrow]"),
    "pandas string": lambda: pd.Series([pd.NA, *(str(moment) for moment in MOMENTS[1:])], dtype="string"),
    "polars": lambda: pl.Series([None, *MOMENTS[1:]]),
    "polars zone": lambda: pl.Series([None, *UTC_MOMENTS[1:]]).dt.convert_time_zone("Asia/Tokyo"),
    "arrow": lambda: pa.array([None, *MOMENTS[1:]]),
}


@pytest.mark.parametrize("make", WRITTEN.values(), ids=WRITTEN)
def test_however_moments_are_given_fit_and_transform_make_the_same_of_them(make: Callable[[], Any]) -> None:
    data = table()
    given = {"when": make(), "x": ALL**1.5}
    np.testing.assert_array_equal(
        features().transform(given), Computed(data).matrix(data.terms, Block("all", ALL, ALL), ALL)
    )
    fitted = table_of(plain_columns(given), np.array(["a", "b"] * 50, dtype=object), Wanted())
    assert fitted.digest() == data.digest()


def test_an_exported_folder_reads_dates_that_are_texts_with_numpy_alone(tmp_path: Path) -> None:
    write_features(tmp_path, features())
    rows = {"when": ["", "2024-02-29", "2024-02-29T13:30:00+02:00"], "x": ["1", "NA", "2.5"]}
    program = """
import json, sys
from features import load_features
found = load_features().transform(json.loads(sys.argv[1]))
print(json.dumps([[None if value != value else value for value in row] for row in found.tolist()]))
assert not {"emoprune", "pandas", "polars", "sklearn"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(rows)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[0] == [None] * 8 + [1.0]
    assert found[1][:4] == [19782.0, 2.0, 3.0, 0.0]
    assert found[1][8] is None
    assert found[2][:4] == [19782 + 11.5 / 24, 2.0, 3.0, 11.5]


@pytest.mark.parametrize(("freq", "note"), [("M", "of the format %Y-%m"), ("Q", None), ("D", None)])
def test_periods_are_their_first_day_as_what_is_written_of_them_is(tmp_path: Path, freq: str, note: str | None) -> None:
    frame = pd.DataFrame({"when": pd.period_range("1999-01-01", periods=100, freq=freq)})
    target = np.array(["a", "b"] * 50, dtype=object)
    frame.to_csv(tmp_path / "periods.csv", index=False)
    written = pd.read_csv(tmp_path / "periods.csv")
    days = (frame["when"].dt.to_timestamp() - pd.Timestamp("1970-01-01")).dt.days
    for fitted_on in (frame, written):
        data = table_of(plain_columns(fitted_on), target, Wanted())
        fitted = features_of(Computed(data), Block("all", ALL, ALL), data.terms)
        for rows in (frame, written, written.iloc[[7]]):
            np.testing.assert_array_equal(fitted.transform(rows)[:, 0], days[rows.index])
    assert data.notes == ((f"when is read as dates {note}.",) if note else ())


def test_a_row_of_read_csv_is_read_whether_or_not_dates_were_parsed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    pd.DataFrame({"when": MOMENTS, "x": ALL / 2}).to_csv(path, index=False)
    fitted = features()
    parsed = pd.read_csv(path, parse_dates=["when"])
    np.testing.assert_array_equal(fitted.transform(pd.read_csv(path)), fitted.transform(parsed))
    np.testing.assert_array_equal(fitted.transform(pl.read_csv(path, try_parse_dates=True)), fitted.transform(parsed))


@pytest.mark.parametrize(
    ("when", "complaint"),
    [
        (["soon"], "column 'when': expected dates, found texts such as 'soon'"),
        ([3.5], "column 'when': expected dates, found numbers such as 3.5"),
    ],
)
def test_what_is_no_date_is_refused_by_its_name(when: list[object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        features().transform({"when": when, "x": [1.0]})


def test_days_without_times_have_no_hours_and_a_part_can_be_ignored() -> None:
    days = [moment.date() for moment in MOMENTS]
    columns = plain_columns({"when": days, "x": ALL**1.5})
    data = table_of(columns, np.array(["a", "b"] * 50, dtype=object), Wanted(ignore=("* of season of *",)))
    assert data.names == ("when", "month of when", "weekday of when", "x")


def test_formulas_of_parts_need_the_column_of_dates_and_count_it_once() -> None:
    data = table()
    terms = (Column("month of when"), Formula("divide", (Column("x"), Column("hour of when"))))
    made = features_of(Computed(data), Block("all", ALL, ALL), terms)
    assert made.plan["needs"] == ["when", "x"]
    assert Seen(data, terms).sources == {"when", "x"}
    with pytest.raises(KeyError, match="expected a column 'when', found x"):
        made.transform({"x": [1.0]})
    assert frame_of(data, ALL)["when"].tolist()[1:] == MOMENTS[1:]


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)))  # noqa: DTZ001  # no zone
def test_days_tell_the_moment_to_the_microsecond_and_parts_agree_with_the_calendar(moment: dt.datetime) -> None:
    array = plain([moment])
    back = moments_of(numbers(array))[0]
    assert abs(int((back - array[0]) / np.timedelta64(1, "us"))) <= 2
    found = [part(array, name)[0] for name in ("year", "month", "day", "weekday")]
    assert found == [moment.year, moment.month, moment.day, moment.weekday()]
    assert 0 <= part(array, "hour")[0] < 24
