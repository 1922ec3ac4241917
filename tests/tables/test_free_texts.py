"""Free texts: read as their length, words, digits, capitals and themes, alike in fit, in transform and exported."""

from __future__ import annotations

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
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMRegressor

from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, frame_of
from emoprune.problems.tables.formulas.formula import Column, Formula, plain_of
from emoprune.problems.tables.objectives.contract import Seen
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.features import Features
from emoprune.problems.tables.standalone.texts import counted
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.problems.tables.subsets.export import write_features
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.table import Table

ROWS = 240
SHAPES = ("length", "words", "digits", "capitals")
THEMES = tuple(f"theme {number}" for number in range(1, 11))
PARTS = tuple(f"{part} of name" for part in (*SHAPES, *THEMES))


def products(rows: int = ROWS, seed: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    """Return names of products, hardly one of them twice, a number, and prices that the wood in the name decides."""
    rng = np.random.default_rng(seed)
    wood = rng.choice(["Oak", "Pine", "Walnut", "Beech"], rows)
    ending = rng.choice(["", "en", "-look"], rows)
    what = rng.choice(["chair", "Table", "shelf", "bar stool", "cabinet"], rows)
    names = [f"{a}{b} {c}, {d} cm" for a, b, c, d in zip(wood, ending, what, rng.integers(30, 250, rows), strict=True)]
    x = rng.normal(size=rows)
    price = pd.Series(wood).map({"Oak": 3.0, "Pine": 0.0, "Walnut": 4.0, "Beech": 1.0}).to_numpy() + 0.5 * x
    return {"name": [None, *names[1:]], "x": x}, price + rng.normal(0, 0.1, rows)


def table(**wanted: Any) -> Table:
    columns, price = products()
    return table_of(plain_columns(columns), price, Wanted(**wanted))


def features(data: Table) -> Features:
    return features_of(Computed(data), everything(data), data.terms)


def everything(data: Table) -> Block:
    return Block("all", np.arange(len(data)), np.arange(len(data)))


def test_a_text_becomes_its_length_words_digits_capitals_and_themes() -> None:
    data = table()
    assert data.names == (*PARTS, "x")
    found = {name: values.as_input() for name, values in data.by_name().items()}
    name = str(products()[0]["name"][5])
    assert found["length of name"][5] == len(name)
    assert found["words of name"][5] == len(name.split())
    assert found["digits of name"][5] == sum(map(str.isdecimal, name)) / len(name)
    assert found["capitals of name"][5] == sum(map(str.isupper, name)) / len(name)
    assert all(np.isnan(found[part][0]) for part in PARTS)
    said = "name is read as text: length, words, digits, capitals, 10 themes of n-grams such as "
    assert data.notes[0].startswith(said)
    assert data.notes[0].endswith("; name it in `categorical` if it is none.")


def test_a_tree_is_much_better_with_a_text_whose_n_grams_tell_the_target() -> None:
    columns, price = products(600)
    data = table_of(plain_columns({name: column[:400] for name, column in columns.items()}), price[:400], Wanted())
    made = features(data)
    losses = {}
    for kept in (["x"], list(data.names)):
        places = [data.names.index(name) for name in kept]
        matrix = made.transform(columns)[:, places]
        model = LGBMRegressor(n_estimators=100, num_leaves=8, verbose=-1, n_jobs=1).fit(matrix[:400], price[:400])
        losses[len(kept)] = np.sqrt(np.mean((np.asarray(model.predict(matrix[400:])) - price[400:]) ** 2))
    assert losses[15] < 0.4 * losses[1]


NAMES = products()[0]["name"]
GIVEN: dict[str, Callable[[], Any]] = {
    "empty": lambda: ["", *NAMES[1:]],
    "blanks": lambda: ["  ", *NAMES[1:]],
    "numpy": lambda: np.array(["NA", *NAMES[1:]]),
    "objects": lambda: np.array([np.nan, *NAMES[1:]], dtype=object),
    "pandas objects": lambda: pd.Series([pd.NA, *NAMES[1:]], dtype=object),
    "pandas string": lambda: pd.Series([pd.NA, *NAMES[1:]], dtype="string"),
    "pandas arrow": lambda: pd.Series([None, *NAMES[1:]], dtype="string[pyarrow]"),
    "pandas": lambda: pd.Series(NAMES),
    "polars": lambda: pl.Series(NAMES),
    "arrow": lambda: pa.chunked_array([NAMES[:7], NAMES[7:]]),
    "arrow large": lambda: pa.array(NAMES, type=pa.large_string()),
}


@pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN)
def test_however_texts_are_given_fit_and_transform_make_the_same_of_them(make: Callable[[], Any]) -> None:
    data = table()
    rows = {**products()[0], "name": make()}
    fitted = table_of(plain_columns(rows), products()[1], Wanted())
    assert fitted.digest() == data.digest()
    expected = Computed(data).matrix(data.terms, everything(data), np.arange(ROWS))
    np.testing.assert_array_equal(features(data).transform(rows), expected)


def test_a_file_of_csv_or_parquet_is_read_as_the_frame_is(tmp_path: Path) -> None:
    columns, price = products()
    frame = pl.DataFrame({**columns, "price": price})
    frame.write_csv(tmp_path / "shop.csv")
    frame.write_parquet(tmp_path / "shop.parquet")
    digests = {read_table(Source(str(tmp_path / f"shop.{kind}"), "price")).digest() for kind in ("csv", "parquet")}
    assert digests == {table().digest()}


def test_themes_depend_neither_on_the_target_nor_on_the_order_of_rows() -> None:
    columns, price = products()
    order = np.random.default_rng(0).permutation(ROWS)
    shuffled = {name: np.asarray(column)[order] for name, column in columns.items()}
    other = table_of(plain_columns(shuffled), price, Wanted()).by_name()
    for name, values in table().by_name().items():
        np.testing.assert_array_equal(values.as_input()[order], other[name].as_input())


ODD = (
    "Ünique 🪑 " * 3,
    "x",
    "oak" * 20_000,
    "-1",
    "\0",
    "\ud800 oak",
    "",
    "?",
    "ωκ ὀάκ",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}",
    "12",
)


def test_unseen_texts_of_any_kind_are_read_row_by_row_as_all_at_once() -> None:
    made = features(table())
    rows = {"name": [*ODD], "x": np.arange(float(len(ODD)))}
    found = made.transform(rows)
    for row in range(len(ODD)):
        alone = made.transform({name: [column[row]] for name, column in rows.items()})
        np.testing.assert_array_equal(alone[0], found[row])
    assert np.isnan(found[6:8, :-1]).all()
    assert not np.isnan(np.delete(found, [6, 7], axis=0)).any()
    np.testing.assert_array_equal(made.transform({"name": [12.0], "x": [10.0]})[0], found[10])
    assert made.transform({"name": [], "x": []}).shape == (0, 15)


@given(st.text(max_size=30))
@settings(max_examples=50, deadline=None)
def test_n_grams_do_not_tell_how_an_accent_is_encoded_nor_capitals(text: str) -> None:
    assert counted("Caf\u00e9 " + text) == counted("CAFE\u0301 " + text)
    assert all(3 <= len(gram) <= 4 for gram in counted(text))


def test_what_is_a_category_stays_one_unless_it_is_named_as_text() -> None:
    rng = np.random.default_rng(0)
    towns = rng.choice(np.array(["Aachen", "Bonn", "Bochum", "Cologne"], dtype=object), ROWS)
    columns = plain_columns({"town": towns, "x": rng.normal(size=ROWS)})
    target = rng.normal(size=ROWS)
    plain_one = table_of(columns, target, Wanted())
    assert plain_one.names == ("town", "x")
    assert not plain_one.notes
    named = table_of(columns, target, Wanted(text=("town",)))
    assert "theme 1 of town" in named.names
    assert "town" not in named.names
    both = table_of(columns, target, Wanted(text=("town",), categorical=("town",)))
    assert both.digest() == plain_one.digest()


def test_a_declared_category_is_read_as_text_where_it_is_named() -> None:
    columns, price = products()
    frame = pd.DataFrame(columns).astype({"name": "category"})
    with pytest.warns(UserWarning, match="name is read as text: length"):
        fitted = small(text=["name"]).fit(frame, price)
    assert "words of name" in fitted.get_feature_names_out()


@pytest.mark.parametrize(
    "column",
    [
        [f"note {row}" for row in range(ROWS)],
        [f"{row * 7919:08x}-{row:04x}" for row in range(ROWS)],
        [f"{row}/{row % 7}:{row % 60}" for row in range(ROWS)],
    ],
    ids=["numbered", "hexadecimal", "digits"],
)
def test_texts_that_only_tell_rows_apart_are_left_out_unless_they_are_named(column: list[str]) -> None:
    columns, price = products()
    rows = plain_columns({**columns, "id": column})
    left_out = table_of(rows, price, Wanted())
    assert left_out.names == table().names
    assert f"id is left out: {ROWS} different texts in {ROWS} rows are no categories" in left_out.notes[1]
    assert any(name.endswith(" of id") for name in table_of(rows, price, Wanted(text=("id",))).names)


def test_no_text_is_read_where_none_is_wanted_and_a_name_that_is_wrong_is_refused() -> None:
    assert table(text=None).names == ("x",)
    assert table(categorical=("name",)).names == ("name", "x")
    assert table(ignore=("theme * of name", "digits *")).names == (*PARTS[:2], PARTS[3], "x")
    with pytest.raises(ConfigError, match="text: there is no column 'nme'; found name, x"):
        table(text=("nme",))


def test_formulas_of_parts_need_the_text_and_count_it_once_and_themes_are_in_none() -> None:
    data = table()
    terms = (Column("theme 2 of name"), Formula("divide", (Column("x"), Column("length of name"))))
    made = features_of(Computed(data), everything(data), terms)
    assert made.plan["needs"] == ["name", "x"]
    assert Seen(data, terms).sources == {"name", "x"}
    assert frame_of(data, np.arange(3))["name"].tolist() == NAMES[:3]
    assert Column("words of name") in data.kinds.numbers
    assert not any("theme" in str(term) for term in (*data.kinds.numbers, *data.kinds.categories))
    with pytest.raises(KeyError, match="expected a column 'name', found x"):
        made.transform({"x": [1.0]})


def test_an_exported_folder_reads_the_texts_of_a_csv_with_numpy_alone(tmp_path: Path) -> None:
    data = table()
    write_features(tmp_path, features(data))
    columns, _ = products(30, seed=5)
    columns["name"][3] = 'Žižkov 🪑, "quoted"\nand on two lines'
    pd.DataFrame(columns).to_csv(tmp_path / "rows.csv", index=False)
    program = """
import csv, json, sys
from features import load_features
with open("rows.csv", encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
found = load_features().transform({name: [row[name] for row in rows] for name in rows[0]})
print(json.dumps([[None if value != value else value for value in row] for row in found.tolist()]))
assert not {"emoprune", "pandas", "polars", "sklearn", "scipy"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = np.array(json.loads(done.stdout), dtype=np.float64)
    rows = pl.read_csv(tmp_path / "rows.csv")  # to the last digit, which pandas 2 does not read
    np.testing.assert_array_equal(found, features(data).transform(rows))


def test_columns_and_parts_are_chosen_among_and_a_text_that_stays_keeps_all_its_parts(tmp_path: Path) -> None:
    columns, price = products()
    pd.DataFrame({**columns, "noise": np.sin(np.arange(ROWS)), "price": price}).to_csv(
        tmp_path / "shop.csv", index=False
    )
    shared = {"data": str(tmp_path / "shop.csv"), "target": "price", "references": ["rfe"], "folds": 2}
    ratio = plain_of(Formula("divide", (Column("x"), Column("length of name"))))
    made = {
        name: FeatureSubset(**shared, formulas=[ratio], keep=keep) for name, keep in (("all", []), ("kept", ["name"]))
    }
    for name, problem in made.items():
        (tmp_path / name).mkdir()
        problem.prepare(tmp_path / name, 1)
        problem.setup("cpu", 1)
    assert len(made["all"].space) == len(PARTS) + 3
    assert len(made["kept"].space) == 3
    none = np.zeros(3, dtype=np.int64)
    assert tuple(map(str, made["kept"].kept(none))) == PARTS
    said = made["kept"].export(none, tmp_path / "out")
    assert said["computed from"] == "1 of 3 columns"
    assert said["verified"] == "in a fresh process without emoprune"
    some = np.array([place % 3 == 0 for place in range(len(PARTS) + 3)], dtype=np.int64)
    assert float(made["all"].export(some, tmp_path / "some")["difference of features"]) == 0.0


def small(**options: Any) -> EvolvedFeatures:
    settings: dict[str, Any] = {"population": 4, "generations": 1, "references": (), "budget": 40, "survivors": 4}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_out_has_a_column_of_numbers_for_each_part(library: str, tmp_path: Path) -> None:
    columns, price = products()
    frame = (pd.DataFrame if library == "pandas" else pl.DataFrame)(columns)
    with pytest.warns(UserWarning, match="name is read as text"):
        fitted = small(keep=["name"]).fit(frame, price).set_output(transform=library)
    out = fitted.transform(frame)
    assert list(out.columns)[: len(PARTS)] == [*PARTS]
    array = np.asarray(out[[*PARTS, "x"]], dtype=np.float64)
    np.testing.assert_array_equal(array, features(table()).transform(columns))
    fitted.save(tmp_path)
    loaded = EvolvedFeatures.load(tmp_path)
    np.testing.assert_array_equal(loaded.transform(frame[5:6]), np.asarray(out, dtype=np.float64)[5:6])


def test_streams_leave_texts_out(tmp_path: Path) -> None:
    columns, price = products(600)
    pd.DataFrame({**columns, "z": np.cos(np.arange(600)), "price": price}).to_csv(tmp_path / "stream.csv", index=False)
    problem = TabularStream(data=str(tmp_path / "stream.csv"), target="price", window=60)
    assert problem.inspect().notes[0].startswith("name is left out: ")
