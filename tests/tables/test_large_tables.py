"""Tables of more rows than a search looks at: which are drawn, what is learnt on all of them, what is read at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import TimeSeriesSplit
from tables_for_tests import mixed, numbers

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of, without_columns
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.drawing import Drawing
from emoprune.problems.tables.rows.given_splits import checked_splits
from emoprune.problems.tables.rows.splits import SplitKind, Splits
from emoprune.problems.tables.scikit_learn.all_rows import learnt_on_all_rows
from emoprune.problems.tables.scikit_learn.batched import in_batches
from emoprune.problems.tables.scikit_learn.typed_output import typed_frame
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.table import Table

SMALL: dict[str, Any] = {
    "population": 4,
    "generations": 1,
    "references": (),
    "budget": 20,
    "survivors": 2,
    "folds": 1,
    "learner": "logistic",
}


def small(**options: Any) -> EvolvedFeatures:
    return EvolvedFeatures(**{**SMALL, "random_state": 0, **options})


def many(rows: int = 3000, seed: int = 0) -> tuple[pl.DataFrame, Any]:
    """A frame with a category that is rare enough that drawn rows do not hold all of its values, dates and gaps."""
    rng = np.random.default_rng(seed)
    columns, target = mixed(rows, seed)
    shop = rng.integers(0, rows // 30, rows)
    days = np.datetime64("2020-01-01") + rng.integers(0, 600, rows).astype("timedelta64[D]")
    frame = pl.DataFrame(columns, strict=False).with_columns(
        pl.Series("shop", [f"shop {number}" for number in shop]),
        pl.Series("branch", rng.integers(0, rows // 30, rows)).cast(pl.String).cast(pl.Categorical),
        pl.Series("when", days),
    )
    return frame, target


def drawn_table(frame: Any, target: Any, places: Any) -> Table:
    columns = {name: column[places] for name, column in plain_columns(frame).items()}
    return table_of(columns, np.asarray(target)[places], Wanted(categorical=("branch",)))


@pytest.mark.parametrize("given", ["auto", "as a lazy column"])
def test_a_lazy_frame_of_few_rows_gives_what_a_frame_gives_to_the_bit(given: str) -> None:
    frame, target = many(300)
    lazy_target = pl.LazyFrame({"y": pl.Series(target, dtype=pl.String)}) if given != "auto" else target
    lazily = small(rows=300).fit(frame.lazy(), lazy_target)
    whole = small(rows=None).fit(frame, target)
    pd.testing.assert_frame_equal(lazily.front_.drop(columns="wall_s"), whole.front_.drop(columns="wall_s"))
    np.testing.assert_array_equal(lazily.transform(frame.lazy()), whole.transform(frame))


def test_frames_of_any_kind_are_searched_on_the_same_drawn_rows_and_a_note_says_so() -> None:
    frame, target = many()
    plain = frame.with_columns(pl.col("branch").cast(pl.String))
    outputs = []
    for given in (plain.lazy(), plain.to_pandas()):
        with pytest.warns(UserWarning, match=r"at 400 of 3,000 rows, drawn with the classes in their shares"):
            transformer = small(rows=400).fit(given, target)
        outputs.append(transformer.transform(given))
    assert outputs[0].shape[0] == 3000
    np.testing.assert_array_equal(*outputs)
    shop = transformer.get_feature_names_out().tolist().index("shop")
    assert not np.isnan(outputs[0][:, shop]).any()  # every shop is known, also those that no drawn row has


def test_statistics_are_those_of_all_rows_also_of_categories_that_no_drawn_row_has() -> None:
    frame, target = many()
    table = drawn_table(frame, target, np.arange(0, 3000, 10))
    shop, branch, weight = Column("shop"), Column("branch"), Column("weight")
    terms = [
        Column("shop"),
        Formula("group-mean", (shop, weight)),
        Formula("frequency", (branch,)),
        Formula("group-median", (Column("month of when"), Column("size"))),
        Formula("divide", (weight, Formula("group-mean", (Column("grade"), weight)))),
        Formula("combined-frequency", (shop, Column("colour"))),
    ]
    found = learnt_on_all_rows(frame.lazy(), table, terms).transform(frame)
    known = frame.to_pandas()
    assert len(set(known["shop"])) > len(table.columns[table.names.index("shop")].categories)
    shops = sorted(set(known["shop"]))
    expected = [
        known["shop"].map(shops.index),
        known.groupby("shop")["weight"].transform("mean"),
        known.groupby("branch", observed=True)["weight"].transform("size"),
        known.groupby(known["when"].dt.month)["size"].transform("median"),
        known["weight"] / known.groupby("grade")["weight"].transform("mean"),
        known.groupby(["shop", "colour"])["weight"].transform("size"),
    ]
    for column, own in zip(found.T, expected, strict=True):
        np.testing.assert_allclose(column, own.to_numpy(dtype=float), rtol=1e-12)


def places_of(target: Any, rows: int, groups: Any = None, **options: Any) -> tuple[Any, str]:
    table = without_columns(np.asarray(target), Wanted(), groups=groups)
    drawn = Drawing(rows, Splits(**options)).of(table)
    assert (np.diff(drawn.places) > 0).all()
    return drawn.places, drawn.said


def test_rows_are_drawn_with_the_classes_in_their_shares_and_rare_classes_stay() -> None:
    target = np.repeat(np.array(["a", "b", "c"], dtype=object), [70_000, 29_990, 10])
    places, said = places_of(target, 10_000)
    assert [int((target[places] == name).sum()) for name in "abc"] == [6994, 2996, 10]
    assert said.startswith("The search looks at 10,000 of 100,000 rows, drawn with the classes in their shares")
    np.testing.assert_array_equal(places_of(target, 10_000)[0], places)
    assert not np.array_equal(places_of(target, 10_000, seed=1)[0], places)


def test_rows_of_a_regression_are_drawn_at_random_and_those_of_a_time_evenly() -> None:
    target = np.random.default_rng(0).normal(size=50_000)
    places, said = places_of(target, 1000)
    assert len(places) == 1000
    assert "drawn at random" in said
    assert abs(places.mean() / 25_000 - 1) < 0.1
    evenly, said = places_of(target, 1000, kind="time")
    np.testing.assert_array_equal(evenly, np.arange(0, 50_000, 50))
    assert "taken evenly in their order" in said


def test_groups_are_drawn_whole_unless_too_few_would_fit() -> None:
    target, groups = np.random.default_rng(0).normal(size=20_000), np.repeat(np.arange(2000.0), 10)
    places, said = places_of(target, 1000, groups)
    assert set(np.unique(groups[places], return_counts=True)[1]) == {10}
    assert len(places) == 1000
    assert "in whole groups" in said
    places, said = places_of(target, 1000, np.repeat(np.arange(5.0), 4000))
    assert len(places) == 1000
    assert set(np.unique(np.repeat(np.arange(5), 4000)[places], return_counts=True)[1]) == {200}
    assert "not all would fit whole" in said


@pytest.mark.parametrize("rows", [19, 0, 2.5, "all", True])
def test_a_number_of_rows_that_is_none_is_refused(rows: Any) -> None:
    frame, target = many(100)
    with pytest.raises(ConfigError, match="rows: expected a number of at least 20, or None for all"):
        small(rows=rows).fit(frame, target)


def test_rows_are_taken_evenly_for_a_given_splitter_that_goes_forward() -> None:
    target = np.random.default_rng(0).normal(size=3000)
    evenly, _ = places_of(target, 300, kind=checked_splits(TimeSeriesSplit(2), SplitKind))
    np.testing.assert_array_equal(evenly, np.arange(0, 3000, 10))


def test_given_pairs_of_rows_are_those_of_the_drawn_rows() -> None:
    frame, target = many()
    halves = np.arange(1500), np.arange(1500, 3000)
    pairs = checked_splits([halves, halves[::-1]], SplitKind).among(np.arange(0, 3000, 10), 3000).pairs
    np.testing.assert_array_equal(pairs[0][0], np.arange(150))
    np.testing.assert_array_equal(pairs[1][0], np.arange(150, 300))
    with pytest.warns(UserWarning, match="at 400 of 3,000 rows"):
        transformer = small(rows=400, splits=[halves, halves[::-1]]).fit(frame.select("size", "weight"), target)
    assert transformer.transform(frame.select("size", "weight")).shape[0] == 3000
    with pytest.raises(ConfigError, match="splits: expected places of 3000 rows, found 0 to 3000"):
        small(rows=400, splits=[(np.arange(1500), np.array([3000]))]).fit(frame, target)


def test_what_other_rows_hold_and_drawn_ones_do_not_is_refused_before_the_search() -> None:
    frame, target = many()
    others = np.setdiff1d(np.arange(3000), places_of(target, 400)[0])[:2]
    odd = pl.Series(np.isin(np.arange(3000), others))
    infinite = frame.with_columns(pl.when(odd).then(float("inf")).otherwise(pl.col("weight")).alias("weight"))
    for given in (infinite, infinite.lazy(), infinite.to_pandas()):
        with pytest.raises(ConfigError, match="column 'weight': expected finite or missing values, found 2 infinite"):
            small(rows=400).fit(given, target)
    text = pl.col("weight").cast(pl.String)
    texts = frame.with_columns(pl.when(odd).then(pl.lit("heavy")).otherwise(text).alias("weight"))
    with pytest.raises(ConfigError, match=r"'weight': expected numbers, found texts such as 'heavy', which none of"):
        small(rows=400).fit(texts.lazy(), target)


@pytest.mark.parametrize("library", ["default", "pandas", "polars"])
def test_a_lazy_frame_is_transformed_in_batches_to_what_a_frame_gives(library: str) -> None:
    frame, target = many(300)
    shop, city = Column("shop"), Column("city")
    terms = [*map(Column, ("size", "grade", "city", "branch", "when", "month of when"))]
    made = [Formula("group-mean", (shop, Column("size"))), Formula("combine", (city, Column("colour")))]
    features = learnt_on_all_rows(frame, drawn_table(frame, target, np.arange(300)), [*terms, *made])
    long = pl.concat([frame] * 900)  # 270,000 rows of 10 columns: two batches
    found = in_batches(features, long.lazy(), library, plain_columns)
    if library == "default":
        np.testing.assert_array_equal(found, features.transform(long))
    else:
        expected = typed_frame(features, plain_columns(long), long, library)
        assert type(found) is type(expected)
        assert found.equals(expected)
        assert list(found.dtypes) == list(expected.dtypes)


PEAK = """
import resource, sys, warnings
import polars as pl
from emoprune.problems.tables import EvolvedFeatures
from pathlib import Path

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3

frame = pl.scan_parquet(sys.argv[1])
few = EvolvedFeatures(population=4, generations=1, references=(), budget=10, folds=1, random_state=0,
                      operators=("group-mean",), rows=1000, learner="logistic", survivors=1)
warnings.simplefilter("ignore")
few.fit(frame.drop("y").head(500), frame.select("y").head(500))
before = peak()
few.fit(frame.drop("y"), frame.select("y"))
print(before, peak())
"""


@pytest.mark.timeout(420)  # a process of its own, on a machine that may be busy
def test_a_lazy_frame_is_never_collected_whole_by_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(size=(20_000, 60))
    frame = pl.DataFrame({f"x{place}": column for place, column in enumerate(few.T)}).with_columns(
        city=pl.Series(rng.integers(0, 500, 20_000)).cast(pl.String), y=pl.Series(few[:, 0] > 0)
    )
    pl.concat([frame] * 30).write_parquet(tmp_path / "large.parquet", row_group_size=20_000)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "large.parquet")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, peak = map(float, done.stdout.split())
    whole = 20_000 * 30 * 60 * 8 / 1e6
    assert peak - before < whole / 2, (before, peak, whole)


def config_of(path: Path, **options: Any) -> dict[str, Any]:
    own = {"learner": "logistic", "references": [], "folds": 2, "rows": 300}
    return {
        "problem": {"name": "feature-subset", "data": str(path), "target": "y", **own, **options},
        "search": {"population": 6, "generations": 2, "seed": 1},
        "evaluation": {"backend": "serial"},
    }


def written(path: Path, frame: pl.DataFrame, target: Any) -> Path:
    whole = frame.drop("branch").with_columns(pl.Series("y", target, dtype=pl.String))
    if path.suffix == ".parquet":
        whole.write_parquet(path)
    else:
        whole.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.parquet"])
def test_drawn_rows_of_a_file_are_those_of_the_whole_file(tmp_path: Path, name: str) -> None:
    frame, target = many()
    path = written(tmp_path / name, frame, target)
    table = read_table(Source(str(path), "y", drawing=Drawing(300)))
    whole = read_table(Source(str(path), "y"))
    assert len(table) == 300
    assert table.notes[0].startswith("The search looks at 300 of 3,000 rows")
    places, _ = places_of(target, 300)
    weight = table.names.index("weight")
    np.testing.assert_array_equal(table.values[weight].numbers, whole.by_name()["weight"].numbers[places])
    np.testing.assert_array_equal(table.target, whole.target[places])
    assert read_table(Source(str(path), "y", drawing=Drawing(3000))).digest() == whole.digest()


@pytest.mark.parametrize("rows", [60, 150])
def test_a_function_may_return_a_lazy_frame(rows: int) -> None:
    columns, target = numbers()
    table = read_table(Source("tables_for_tests:lazily", "y", drawing=Drawing(rows)))
    places = places_of(target, rows)[0] if rows < 150 else np.arange(150)
    np.testing.assert_array_equal(table.by_name()["x3"].numbers, columns["x3"][places])


def test_rows_of_a_file_with_a_time_groups_and_weights_are_drawn_in_their_order(tmp_path: Path) -> None:
    frame, target = many()
    moments = np.random.default_rng(1).permutation(3000)
    frame = frame.with_columns(t=pl.Series(moments), g=pl.Series(moments % 600), w=pl.Series(1.0 + moments % 3))
    path = written(tmp_path / "table.parquet", frame, target)
    found = SubsetOptions(data=str(path), target="y", time="t", groups="g", weights="w", rows=300)
    table = read_table(found.source)
    np.testing.assert_array_equal(table.by_name()["t"].numbers, np.arange(0, 3000, 10))
    assert table.weights is not None
    np.testing.assert_allclose(table.weights, (1.0 + np.arange(0, 3000, 10) % 3) / 2)
    grouped = read_table(SubsetOptions(data=str(path), target="y", groups="t", rows=300).source)
    assert "in whole groups" in grouped.notes[0]


def test_a_run_goes_on_with_the_rows_that_it_began_with_and_says_how_many_it_looks_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame, target = many()
    config = config_of(written(tmp_path / "table.csv", frame.select("size", "weight", "grade", "branch"), target))
    whole = emoprune.search(config, runs=tmp_path / "runs", name="whole")
    list(whole)
    assert "at 300 of 3,000 rows, drawn with the classes in their shares" in caplog.text
    half = emoprune.search(config, runs=tmp_path / "runs", name="half")
    for _ in half:
        half.stop()
    resumed = emoprune.resume(half.run.path)
    list(resumed)
    assert resumed.run.config["problem"]["rows"] == 300
    assert [each.values for each in resumed.run.evaluations()] == [each.values for each in whole.run.evaluations()]


def digest_of(path: Path) -> str:
    return FeatureSubset(data=str(path), target="y", learner="logistic", rows=300).fingerprint()


@pytest.mark.parametrize("what", ["a drawn row", "a target", "a row less"])
def test_a_search_notices_other_data(tmp_path: Path, what: str) -> None:
    frame, target = many()
    places, _ = places_of(target, 300)
    path = written(tmp_path / "table.parquet", frame, target)
    before = digest_of(path)
    at = np.arange(3000)
    other = int(np.setdiff1d(at, places)[0])
    if what == "a drawn row":
        odd = pl.Series(at == places[7])
        frame = frame.with_columns(pl.when(odd).then(0.125).otherwise(pl.col("weight")).alias("weight"))
    elif what == "a target":
        target[other] = "yes" if target[other] == "no" else "no"
    else:
        frame, target = frame.filter(pl.Series(at != other)), target[at != other]
    assert digest_of(written(path, frame, target)) != before
