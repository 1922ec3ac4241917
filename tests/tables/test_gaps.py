"""Gaps however they are written: what a text column means, what is said of it, and that rows are read the same way."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.reading.texts import meaning_of
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.readings import span_of
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.table import Table

ROWS = 60
NAN = float("nan")
MIDNIGHT = [(dt.datetime(2024, 1, 1) + dt.timedelta(seconds=61 * row)).time() for row in range(ROWS)]  # noqa: DTZ001  # a time of day has no zone


def texts(make: Any, gap: str) -> list[str]:
    """Return ROWS texts, of which each tenth is a gap."""
    return [gap if row % 10 == 0 else make(row) for row in range(ROWS)]


def read(folder: Path, **columns: list[str]) -> Table:
    """Write a CSV file by hand, so that gaps stand in it as they are, and read it."""
    lines = [",".join([*columns, "y"])]
    quoted = [
        tuple(f'"{cell}"' if "," in cell else cell for cell in row) for row in zip(*columns.values(), strict=True)
    ]
    lines += [",".join([*row, "a" if place % 3 else "b"]) for place, row in enumerate(quoted)]
    path = folder / "gaps.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_table(Source(str(path), "y"))


@pytest.mark.parametrize(
    "gap", ["NA", "?", "-", "null", "", " NA ", "N/A", "NaN", "None", " ? ", ".", "#N/A", "#DIV/0!"]
)
def test_a_column_of_numbers_stays_one_however_gaps_are_written(tmp_path: Path, gap: str) -> None:
    data = read(tmp_path, size=texts(lambda row: f"{row / 7:.6f}", gap), rank=texts(str, gap))
    for name, expected in (("size", np.round(np.arange(ROWS) / 7, 6)), ("rank", np.arange(float(ROWS)))):
        np.testing.assert_array_equal(data.by_name()[name].numbers, np.where(np.arange(ROWS) % 10 == 0, NAN, expected))
    said = [] if gap in ("", "NaN") else [f"is read as numbers, and {gap!r} as missing in 6 rows."] * 2
    assert [note.split(" ", 1)[1] for note in data.notes] == said


@pytest.mark.parametrize("gap", ["NA", "?", "-", "null", ""])
def test_gaps_of_dates_truth_values_and_categories_are_missing(tmp_path: Path, gap: str) -> None:
    data = read(
        tmp_path,
        when=texts(lambda row: f"2024-01-{1 + row % 28:02d}", gap),
        flag=texts(lambda row: str(row % 7 == 0), gap),
        city=texts(lambda row: "pq"[row % 7 % 2], gap),
        x=texts(lambda row: str(row**2), "0"),
    )
    values = data.by_name()
    assert np.isnan(values["when"].as_input()[::10]).all()
    assert values["when"].as_input()[1] == 19724.0
    assert np.isnan(values["flag"].as_input()[::10]).all()
    assert values["flag"].as_input()[7] == 1.0
    assert data.columns[data.names.index("city")].categories == ("p", "q")
    assert np.isnan(values["city"].as_input()[::10]).all()


def test_what_may_be_a_gap_is_a_category_where_it_stands_beside_one_other_alone(tmp_path: Path) -> None:
    data = read(tmp_path, sign=texts(lambda _: "+", "-"), x=texts(lambda row: str(row**2), "0"))
    assert data.columns[0].categories == ("+", "-")


def test_codes_that_begin_with_a_nought_are_no_numbers() -> None:
    codes = np.array(["01067", "50667", "?"] * 20, dtype=object)
    columns = plain_columns({"post": codes, "x": np.arange(60.0)})
    data = table_of(columns, np.array(["a", "b"] * 30, dtype=object), Wanted())
    assert data.columns[0].categories == ("01067", "50667")


def test_numbers_that_were_declared_categories_stay_categories_without_their_gaps(tmp_path: Path) -> None:
    read(tmp_path, grade=texts(lambda row: str(row % 3), "?"), x=texts(lambda row: str(row**2), "0"))
    data = read_table(Source(str(tmp_path / "gaps.csv"), "y", wanted=Wanted(categorical=("grade",))))
    assert data.columns[0].categories == ("0", "1", "2")


def test_texts_that_are_whole_numbers_beyond_floats_stay_distinct(tmp_path: Path) -> None:
    ids = texts(lambda row: str(2**60 + row % 5), "?")
    data = read(tmp_path, ident=ids, x=texts(lambda row: str(row**2), "0"))
    assert data.columns[0].categories == tuple(2**60 + number for number in range(5))


@pytest.mark.parametrize(
    "form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y", "%d/%m/%Y %H:%M", "%B %d, %Y", "%d.%m.%y", "%m/%d/%y"]
)
def test_dates_of_other_formats_are_dates_and_rows_are_read_by_the_same_one(tmp_path: Path, form: str) -> None:
    days = pd.date_range("2024-01-01", periods=ROWS)
    data = read(tmp_path, when=[day.strftime(form) for day in days], x=texts(lambda row: str(row**2), "0"))
    np.testing.assert_array_equal(data.by_name()["when"].numbers, 19723.0 + np.arange(ROWS))
    assert data.columns[0].form == form
    assert data.notes == (f"when is read as dates of the format {form}.",)
    rows = np.arange(ROWS)
    features = features_of(Computed(data), Block("all", rows, rows), data.terms)
    row = features.transform(pd.DataFrame({"when": [days[33].strftime(form)], "x": [1]}))
    assert row[0, 0] == 19756.0


def test_a_column_that_is_left_out_is_said_to_be_nearly_numbers() -> None:
    odd = np.array([*map(str, range(59)), "many"], dtype=object)
    columns = plain_columns({"odd": odd, "x": np.arange(60.0)})
    data = table_of(columns, np.array(["a", "b"] * 30, dtype=object), Wanted())
    assert data.names == ("x",)
    assert data.notes[0].startswith("odd is left out: 60 different texts in 60 rows are no categories; name it")
    assert data.notes[0].endswith("; all but 1 of them are numbers, so replace such as 'many' by gaps.")


def test_a_target_of_signs_is_classes_and_one_of_gaps_is_refused(tmp_path: Path) -> None:
    columns = plain_columns({"x": np.arange(60.0)})
    signs = table_of(columns, np.array(["+", "-", "-"] * 20, dtype=object), Wanted())
    assert signs.classes == ("+", "-")
    for gap in ("NA", "?", ""):
        with pytest.raises(ConfigError, match="target: expected a value in every row, found 20 missing ones"):
            table_of(columns, np.array(["a", "b", gap] * 20, dtype=object), Wanted())
    with pytest.raises(ConfigError, match="found 1 missing ones"):
        table_of(columns, np.array([*map(str, range(59)), "NA"], dtype=object), Wanted("regression"))


def test_a_run_says_what_it_leaves_out_or_converts_at_once_in_its_log_and_in_its_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(
        tmp_path,
        size=texts(str, "?"),
        note=[f"note {row}" for row in range(ROWS)],
        x=texts(lambda row: str(row**2 % 17), "0"),
    )
    problem = FeatureSubset(data=str(tmp_path / "gaps.csv"), target="y", references=[], folds=2, learner="logistic")
    config = {"search": {"population": 4, "generations": 1}, "evaluation": {"backend": "serial"}}
    with caplog.at_level(logging.WARNING, "emoprune"):
        searching = emoprune.search(config, problem=problem, runs=tmp_path)
        list(searching)
    left_out = "60 different texts in 60 rows are no categories; name it in `categorical` if they are"
    said = (
        "data: size is read as numbers, and '?' as missing in 6 rows.",
        f"data: note is left out: {left_out}.",
    )
    assert set(said) <= {record.getMessage() for record in caplog.records}
    assert tuple(searching.run.progress.alarms) == said


WRITTEN = {
    "1.234,5": lambda value: f"{value:_.2f}".replace(".", ",").replace("_", "."),
    "1,234.5": lambda value: f"{value:,.2f}",
    "1 234,5": lambda value: f"{value:_.2f}".replace(".", ",").replace("_", "\u00a0"),
    "1'234.5": lambda value: f"{value:_.2f}".replace("_", "'"),
    "1234.5 in %": lambda value: f"{value:.2f} %",
    "1,234.5 in $": lambda value: f"${value:,.2f}".replace("$-", "-$"),
    "1.234,5 in €": lambda value: f"{value:_.2f} €".replace(".", ",").replace("_", "."),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_numbers_that_spreadsheets_write_are_numbers_in_fit_and_in_single_rows(tmp_path: Path, form: str) -> None:
    values = np.round((np.arange(ROWS) - 20) * 1234.567, 2)
    column = texts(lambda row: WRITTEN[form](values[row]), "?")
    frame = pd.DataFrame({"price": column, "y": ["a", "b"] * (ROWS // 2)})
    frame.to_csv(tmp_path / "prices.csv", index=False, sep=";")
    data = read_table(Source(str(tmp_path / "prices.csv"), "y"))
    expected = np.where(np.arange(ROWS) % 10 == 0, NAN, values)
    np.testing.assert_array_equal(data.by_name()["price"].numbers, expected)
    assert data.notes == (f"price is read as numbers, written as {form}, and '?' as missing in 6 rows.",)
    rows = np.arange(ROWS)
    features = features_of(Computed(data), Block("all", rows, rows), data.terms)
    for row in (0, 1, 59):
        np.testing.assert_array_equal(features.transform(frame.iloc[[row]])[0], expected[[row]])
    np.testing.assert_array_equal(features.transform(frame.assign(price=expected))[:, 0], expected)
    with pytest.raises(ValueError, match=r"column 'price': expected numbers, found texts such as '12;5'"):
        features.transform({"price": np.array(["12;5"], dtype=object)})


@pytest.mark.parametrize("texts", [["192.168.1.2", "10.0.0.1"], ["1,2", "1,2;3"], ["01,5", "02,5"], ["5%", "5"]])
def test_what_is_not_written_alike_throughout_stays_text(texts: list[str]) -> None:
    assert meaning_of(np.array(texts, dtype=object), category=False).array.tolist() == texts


def test_a_target_with_decimal_commas_is_numbers() -> None:
    columns = plain_columns({"x": np.arange(60.0)})
    data = table_of(
        columns, np.array([f"{row / 7:.3f}".replace(".", ",") for row in range(60)], dtype=object), Wanted()
    )
    np.testing.assert_array_equal(data.target, np.round(np.arange(60) / 7, 3))


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("PT1H", 1 / 24),
        ("P3D", 3.0),
        ("-P1DT12H", -1.5),
        ("PT90M2.5S", (5400 + 2.5) / 86_400),
        ("P", None),
        ("PT", None),
    ],
)
def test_spans_of_time_by_iso_8601_are_days(text: str, days: float | None) -> None:
    assert span_of(text) == (None if days is None else pytest.approx(days, rel=1e-12))


def test_spans_of_time_in_texts_are_days_as_those_of_frames_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"took": pd.to_timedelta(np.arange(ROWS) * 1237 - 9000, "s"), "at": MIDNIGHT[:ROWS]})
    target = np.array(["a", "b"] * (ROWS // 2), dtype=object)
    data = table_of(plain_columns(frame), target, Wanted())
    days = np.column_stack([(np.arange(ROWS) * 1237 - 9000) / 86_400, np.arange(ROWS) * 61 / 86_400])
    frame.assign(y=target).to_csv(tmp_path / "spans.csv", index=False)
    of_texts = read_table(Source(str(tmp_path / "spans.csv"), "y"))
    rows = np.arange(ROWS)
    for own in (data, of_texts):
        np.testing.assert_allclose(Computed(own).matrix(own.terms, Block("all", rows, rows), rows), days, rtol=1e-12)
        features = features_of(Computed(own), Block("all", rows, rows), own.terms)
        np.testing.assert_allclose(features.transform(pd.read_csv(tmp_path / "spans.csv")), days, rtol=1e-12)
    assert of_texts.notes == tuple(f"{name} is read as spans of time, in days." for name in ("took", "at"))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, dict])
def test_rows_are_read_as_the_file_was_one_by_one_or_all(tmp_path: Path, frame: Any) -> None:
    columns = {
        "size": texts(lambda row: f"{row / 7:.3f}", "?"),
        "flag": texts(lambda row: str(row % 7 == 0), "NA"),
        "when": texts(lambda row: f"2024-01-{1 + row % 28:02d}", "-"),
        "city": texts(lambda row: "pq"[row % 7 % 2], "null"),
    }
    data = read(tmp_path, **columns)
    rows = np.arange(ROWS)
    features = features_of(Computed(data), Block("all", rows, rows), data.terms)
    expected = Computed(data).matrix(data.terms, Block("all", rows, rows), rows)
    given = frame(
        {name: np.array(column, dtype=object) if frame is dict else column for name, column in columns.items()}
    )
    np.testing.assert_array_equal(features.transform(given), expected)
    by_pandas = pd.read_csv(tmp_path / "gaps.csv", na_values=["?", "-"])
    np.testing.assert_array_equal(features.transform(by_pandas), expected)
    for row in (0, 1, 7):
        np.testing.assert_array_equal(features.transform(by_pandas.iloc[[row]]), expected[[row]])
