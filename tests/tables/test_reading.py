"""Tables from files, functions and frames: what is read, what is left out with a note, what is refused."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tables_for_tests import mixed, numbers

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.reading.built_in import BUILT_IN
from emoprune.problems.tables.reading.files import rows_in
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.drawing import Drawing
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.table import Table, Task

CLASSES = np.array(["a", "b"] * 10, dtype=object)


def made(columns: dict[str, object], target: object = CLASSES, **wanted: object) -> Table:
    """Return the table of columns given as lists or arrays."""
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    return table_of(plain_columns(arrays), plain(np.asarray(target)), Wanted(**wanted))  # type: ignore[arg-type]


@pytest.fixture
def csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    columns, target = mixed()
    path = tmp_path / "train.csv"
    pl.DataFrame({**columns, "y": target}, strict=False).write_csv(path)
    return path


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_table_can_be_read(name: str) -> None:
    data = read_table(Source(name))
    assert len(data) > 100
    assert len(data.columns) > 3


def test_csv_tsv_and_parquet_give_the_same_table(csv: Path) -> None:
    frame = pl.read_csv(csv)
    frame.write_parquet("train.parquet")
    frame.write_csv("train.tsv", separator="\t")
    digests = {read_table(Source(name, "y")).digest() for name in ("train.csv", "train.tsv", "train.parquet")}
    assert len(digests) == 1


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz"])
def test_packed_text_files_give_the_same_table(csv: Path, suffix: str) -> None:
    separator = "," if suffix == ".csv.gz" else "\t"
    with gzip.open(f"train{suffix}", "wt", encoding="utf-8") as file:
        file.write(pl.read_csv(csv).write_csv(separator=separator))
    assert read_table(Source(f"train{suffix}", "y")).digest() == read_table(Source(str(csv), "y")).digest()
    assert rows_in(Path(f"train{suffix}")) == rows_in(csv)


def test_a_packed_file_that_ends_too_early_is_refused_by_its_name(csv: Path) -> None:
    whole = gzip.compress(csv.read_bytes())
    Path("cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"cut\.csv\.gz cannot be read"):
        read_table(Source("cut.csv.gz", "y"))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_cells_of_a_csv_file_may_be_separated_by_other_signs_than_commas(csv: Path, separator: str) -> None:
    frame = pl.read_csv(csv)
    frame.write_csv("other.csv", separator=separator)
    assert read_table(Source("other.csv", "y")).digest() == read_table(Source("train.csv", "y")).digest()
    few = Source("other.csv", "y", drawing=Drawing(20))  # of which a file is read lazily
    assert read_table(few).digest() == read_table(replace(few, data="train.csv")).digest()


def test_commas_inside_of_cells_separate_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["Weight, kg;Height, cm;y", *[f"{row / 4:.2f};{row};{'ab'[row % 2]}" for row in range(20)]]
    Path("commas.csv").write_text("\n".join(lines), encoding="utf-8")
    assert read_table(Source("commas.csv", "y")).names == ("Weight, kg", "Height, cm")


def test_a_file_that_is_not_in_utf_8_is_refused_with_what_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.csv").write_bytes("city,y\nKöln,1\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"expected texts in UTF-8, .* as by `iconv -f LATIN1 -t UTF-8 latin.csv`"):
        read_table(Source("latin.csv", "y"))


def test_pandas_and_polars_frames_and_arrays_give_the_same_columns() -> None:
    columns, _ = mixed()
    frames = (pd.DataFrame(columns), pl.DataFrame(columns, strict=False), columns)
    for name in columns:
        first, *others = [plain_columns(frame)[name] for frame in frames]
        for other in others:
            assert first.dtype == other.dtype
            assert first.tolist() == other.tolist() or np.array_equal(first, other, equal_nan=True)


def test_kinds_are_found_and_categories_sorted() -> None:
    data = made(
        {
            "x": np.arange(20.0),
            "level": [1, 2, 3, 4] * 5,
            "city": ["q", "p", "p", "q"] * 5,
            "flag": [True, False, False, True] * 5,
        }
    )
    assert {column.name: column.kind.value for column in data.columns} == {
        "x": "numerical",
        "level": "ordinal",
        "city": "categorical",
        "flag": "ordinal",
    }
    assert data.columns[2].categories == ("p", "q")


def test_numbers_can_be_declared_categories() -> None:
    data = made({"code": np.arange(20) % 3, "x": np.arange(20.0)}, categorical=("code",))
    assert data.columns[0].kind.value == "categorical"
    assert data.columns[0].categories == (0.0, 1.0, 2.0)


def test_a_date_is_read_as_days_since_1970_and_as_the_parts_that_differ() -> None:
    days = pd.date_range("1970-01-02", periods=20)
    for column in (days.to_series(), days.tz_localize("UTC").to_series(), pl.Series(days.to_list())):
        data = table_of(plain_columns({"when": column, "x": np.arange(20.0)}), CLASSES, Wanted())
        own = ("when", "weekday of when", "sine of season of when", "cosine of season of when", "x")
        assert data.names == own
        assert data.by_name()["when"].numbers[:2].tolist() == [1.0, 2.0]  # type: ignore[index]  # it has numbers
        assert data.by_name()["weekday of when"].numbers[:3].tolist() == [4.0, 5.0, 6.0]  # type: ignore[index]  # the same


def test_a_part_of_a_date_or_a_text_never_takes_the_name_of_a_column_that_was_given() -> None:
    month = np.arange(40.0) ** 2
    texts = [f"{'red oak' if row % 3 else 'pine'} no {row}" for row in range(40)]
    frame = {"when": pd.date_range("2024-01-01", periods=40), "month of when": month, "name": texts}
    columns = plain_columns({**frame, "length of name": month + 1})
    data = table_of(columns, np.tile(CLASSES, 2), Wanted())
    assert len(set(data.names)) == len(data.names)
    values = data.by_name()
    for name, first in (("month of when", month), ("length of name", month + 1)):
        np.testing.assert_array_equal(values[name].numbers, first)
        assert f"{name} #2" in data.names
    rows = np.arange(40)
    block = Block("all", rows, rows)
    expected = Computed(data).matrix(data.terms, block, rows)
    np.testing.assert_array_equal(features_of(Computed(data), block, data.terms).transform(columns), expected)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_an_index_that_was_written_with_a_frame_is_kept_and_said(name: str) -> None:
    columns: dict[str, object] = {name: np.arange(20), "x": np.arange(20.0) ** 2}
    data = made(columns)
    assert data.names == (name, "x")
    assert data.notes == (f"Column {name!r} numbers the rows; leave it out if their order says nothing.",)
    assert not made({**columns, name: np.arange(20) % 7}).notes


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([3.0] * 20, "it is constant, 3"),
        (["same"] * 20, "it is constant, 'same'"),
        ([np.nan] * 20, "all of its values are missing"),
        ([None] * 20, "all of its values are missing"),
        ([f"note {number}" for number in range(20)] + ["x"] * 25, None),
        ([f"note {number}" for number in range(40)], "40 different texts in 40 rows"),
    ],
)
def test_a_column_of_no_use_is_left_out_and_said(column: list[object], reason: str | None) -> None:
    rows = len(column)
    data = made({"x": np.arange(float(rows)), "odd": np.array(column, dtype=object)}, (["a", "b"] * rows)[:rows])
    assert data.names == (("x", "odd") if reason is None else ("x",))
    assert all(reason in note for note in data.notes) if reason else not data.notes


@pytest.mark.parametrize(
    ("columns", "target", "complaint"),
    [
        ({"x": []}, [], "expected rows, found none"),
        ({"x": np.arange(20.0)}, ["a"] * 20, "at least two classes, found one class, 'a'"),
        ({"x": np.arange(20.0)}, [2.5] * 20, "expected different values, found only 2.5"),
        ({"x": np.arange(20.0)}, ["a", None] * 10, "found 10 missing ones; drop these rows"),
        ({"x": np.arange(20.0)}, [1.5, np.nan] * 10, "found 10 missing ones"),
        ({"x": np.arange(20.0)}, [1.5, np.inf] * 10, "expected finite values"),
        ({"x": np.arange(20.0)}, [f"id {number}" for number in range(20)], "found 20 classes in 20 rows"),
        ({"x": [1.0, np.inf] * 10}, CLASSES, "column 'x': expected finite or missing values, found 10 infinite"),
        ({"x": [1.0] * 20}, CLASSES, "at least one column that can be a feature.*it is constant"),
        ({"x": [1.0, 2.0] * 10, "z": np.arange(20.0)}, CLASSES, "column 'x' tells the class of every row"),
        ({"x": np.linspace(0, 1, 20) ** 2}, np.linspace(0, 1, 20) ** 2, "column 'x' is the target itself"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(columns: dict[str, object], target: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        made(columns, target)


def test_a_copy_of_the_target_can_be_ignored() -> None:
    data = made({"copy": [1.0, 2.0] * 10, "z": np.arange(20.0)}, ignore=("co*",))
    assert data.names == ("z",)


@pytest.mark.parametrize(
    ("target", "task", "expected"),
    [
        ([0, 1] * 10, "auto", Task.BINARY),
        ([0, 1, 2, 1] * 5, "auto", Task.MULTICLASS),
        (np.arange(20), "auto", Task.REGRESSION),
        (np.arange(20) / 3, "auto", Task.REGRESSION),
        ([0, 1] * 10, "regression", Task.REGRESSION),
        ([True, False] * 10, "auto", Task.BINARY),
    ],
)
def test_the_task_is_told_by_the_target(target: object, task: str, expected: Task) -> None:
    assert made({"x": np.arange(20.0) ** 1.5}, target, task=task).task is expected


def test_a_regression_of_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected numbers for a regression, found texts such as 'a'"):
        made({"x": np.arange(20.0)}, task="regression")


def test_two_columns_of_one_name_are_refused_in_frames_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="found 'a' 2 times"):
        plain_columns(pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]))
    monkeypatch.chdir(tmp_path)
    Path("twice.csv").write_text("a,a,y\n1,2,3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"twice.csv: expected every column name once, found 'a' again"):
        read_table(Source("twice.csv", "y"))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (Source("train.csv"), "expected the name of a column of 'train.csv', one of size, weight"),
        (Source("train.csv", "yy"), "no column 'yy'.*'y'"),
        (Source("train.csv", "y", groups="ciity"), "groups: there is no column 'ciity'.*'city'"),
        (Source("train.csv", "y", time="when"), "time: there is no column 'when'"),
        (Source("train.csv", "y", time="city"), "time: expected a number or a date in every row of 'city'"),
        (Source("train.csv", "y", wanted=Wanted(categorical=("none",))), "categorical: there is no column 'none'"),
        (Source("trian.csv", "y"), "no table is called 'trian.csv'"),
        (Source("brest-cancer"), "no table is called 'brest-cancer'.*'breast-cancer'"),
        (Source("broken.parquet", "y"), "broken.parquet cannot be read"),
        (Source("empty.csv", "y"), "empty.csv: expected a header line"),
        (Source("notes.txt", "y"), r"expected a file that ends in \.csv, \.tsv, \.csv\.gz, \.tsv\.gz, \.parquet"),
        (Source("tables_for_tests:raising"), "raised RuntimeError: the database is down; mend it there"),
        (Source("tables_for_tests:table"), "raised TypeError"),
        (Source("tables_for_tests:missing"), "no class or function 'missing'"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(csv: Path, source: Source, complaint: str) -> None:
    (csv.parent / "broken.parquet").write_bytes(b"PAR1 no more")
    (csv.parent / "empty.csv").write_bytes(b"")
    (csv.parent / "notes.txt").write_text("a,y\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        read_table(source)


def test_a_function_s_frame_and_target_are_read_and_rows_go_by_time() -> None:
    columns, target = numbers()
    data = read_table(Source("tables_for_tests:numbers", time="x3"))
    order = np.argsort(columns["x3"], kind="stable")
    np.testing.assert_array_equal(data.target, target[order])


def test_a_target_for_each_row_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="expected columns of equal length"):
        plain_columns({"a": np.arange(3), "b": np.arange(4)})
    with pytest.raises(ConfigError, match="expected a frame of pandas, polars or Arrow"):
        plain_columns(3)


def test_ten_thousand_columns_are_read_in_seconds() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.normal(size=50) for number in range(10_000)}
    data = made(columns, (["a", "b"] * 25))
    assert len(data.columns) == 10_000
