"""Frames in and out: whatever type a column has, fit and transform take it, and kept columns come out as they came."""

from __future__ import annotations

import warnings
from datetime import timedelta
from decimal import Decimal
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from emoprune.problems.tables import EvolvedFeatures

pytestmark = pytest.mark.usefixtures("compared_briefly")

ROWS = 120


def frame(gaps: bool = True) -> pd.DataFrame:
    """Return columns of many types of pandas, with gaps."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    made = pd.DataFrame(
        {
            "float": x,
            "nullable": pd.array(rng.integers(0, 200, ROWS), dtype="Int64"),
            "arrow": pd.array(rng.normal(size=ROWS), dtype="double[pyarrow]"),
            "flag": pd.array(x > 0.3, dtype="boolean"),
            "level": pd.Categorical(rng.integers(0, 40, ROWS)),
            "city": pd.array(rng.choice(["a", "b", "c"], ROWS), dtype="string"),
            "colour": pd.Categorical(rng.choice(["red", "blue"], ROWS)),
            "object": rng.choice(np.array(["p", "q"], dtype=object), ROWS),
            "truth": rng.choice(np.array([True, False], dtype=object), ROWS),
        }
    )
    if gaps:
        for place, name in enumerate(made.columns):
            made.loc[place :: len(made.columns), name] = np.nan if name == "float" else pd.NA
    return made


def target(made: pd.DataFrame) -> np.ndarray:
    rng = np.random.default_rng(1)
    signal = made["float"].fillna(0) + (made["city"] == "b").fillna(False).astype(float)
    return np.where(signal + rng.normal(0, 0.2, ROWS) > 0.4, "yes", "no")


def small(**options: Any) -> EvolvedFeatures:
    """Return a transformer that makes few features fast."""
    settings: dict[str, Any] = {"population": 4, "generations": 1, "references": (), "budget": 40, "survivors": 4}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


def kept(transformer: EvolvedFeatures, columns: Any) -> list[str]:
    return [name for name in transformer.get_feature_names_out() if name in list(columns)]


@pytest.fixture(scope="module")
def everything() -> EvolvedFeatures:
    """Return a transformer that keeps all columns of `frame` and makes a pair of categories and a quotient."""
    from emoprune.problems.tables.computing import Computed
    from emoprune.problems.tables.fitting import features_of
    from emoprune.problems.tables.formulas.formula import Column, Formula
    from emoprune.problems.tables.rows.splits import Block

    made = frame()
    transformer = small()
    given: dict[str, Any] = {}

    def keep(table: Any) -> Any:
        given["table"] = table
        return (), None

    transformer._searched = keep  # type: ignore[method-assign]  # the search is not what is looked at
    transformer.fit(made, target(made))
    del transformer.__dict__["_searched"]
    pair = Formula("combine", (Column("city"), Column("colour")))
    quotient = Formula("divide", (Column("float"), Column("arrow")))
    rows = np.arange(ROWS)
    terms = (*given["table"].terms, pair, quotient)
    transformer.features_ = features_of(Computed(given["table"]), Block("all", rows, rows), terms)
    return transformer


def test_kept_columns_of_pandas_have_the_types_with_which_they_came(everything: EvolvedFeatures) -> None:
    made = frame()
    out = everything.set_output(transform="pandas").transform(made)
    expected = made.assign(truth=made["truth"].astype("boolean").to_numpy("float64", na_value=np.nan))
    pd.testing.assert_frame_equal(out[list(made.columns)], expected)  # objects that are numbers come as numbers
    assert str(out["float / arrow"].dtype) == "float64"
    assert isinstance(out["city with colour"].dtype, pd.CategoricalDtype)
    one = made.iloc[[7]]
    pd.testing.assert_frame_equal(everything.transform(one)[list(made.columns)], expected.iloc[[7]])
    assert out.loc[[7], "city with colour"].tolist() == everything.transform(one)["city with colour"].tolist()


def test_kept_columns_of_polars_have_the_types_with_which_they_came(everything: EvolvedFeatures) -> None:
    made = pl.DataFrame(
        {
            "float": [1.0, None],
            "nullable": pl.Series([1, 2], dtype=pl.Int8),
            "arrow": [2.0, 3.0],
            "flag": [True, None],
            "level": pl.Series(["1", "2"], dtype=pl.Categorical),
            "city": ["a", "zzz"],
            "colour": pl.Series(["red", None], dtype=pl.Enum(["red", "blue"])),
            "object": ["p", "q"],
            "truth": [True, False],
        }
    )
    out = everything.set_output(transform="polars").transform(made)
    assert out[made.columns].equals(made)
    assert out[made.columns].schema == made.schema
    assert out["float / arrow"].to_list() == [0.5, None] or np.isnan(out["float / arrow"][1])
    assert isinstance(out.schema["city with colour"], pl.Enum)


def test_a_frame_of_the_other_library_has_categories_and_floats(everything: EvolvedFeatures) -> None:
    made = frame()
    out = everything.set_output(transform="polars").transform(made)
    assert isinstance(out.schema["level"], pl.Enum)
    assert isinstance(out.schema["city"], pl.Enum)
    assert out.schema["nullable"] == pl.Float64
    back = everything.set_output(transform="pandas").transform(pl.DataFrame(pa.Table.from_pandas(made)))
    assert back["level"].cat.categories.tolist() == sorted(made["level"].dropna().unique().tolist())
    assert (
        back["city"].astype(object).where(back["city"].notna(), None).tolist()
        == made["city"].astype(object).where(made["city"].notna(), None).tolist()
    )
    everything.set_output(transform="default")
    assert everything.transform(made).dtype == np.float64


def test_a_booster_takes_what_comes_out_and_sees_categories() -> None:
    rng = np.random.default_rng(0)
    level = rng.integers(0, 60, 1200)
    effect = rng.normal(size=60)[rng.permutation(60)]
    y = effect[level] + rng.normal(0, 0.1, 1200)
    made = pd.DataFrame({"level": pd.Categorical(level), "x": rng.normal(size=1200)})
    transformer = small(task="regression").set_output(transform="pandas")
    out = transformer.fit(made[:800], y[:800]).transform(made)
    assert kept(transformer, made.columns)
    if "level" in out.columns:
        assert out["level"].dtype == made["level"].dtype
    booster = lightgbm.LGBMRegressor(verbose=-1, n_jobs=1, n_estimators=50).fit(out[:800], y[:800])
    assert booster.predict(out[800:]).shape == (400,)


@pytest.mark.parametrize("gaps", [False, True])
def test_fit_and_transform_take_all_types_with_na_and_without(gaps: bool) -> None:
    made = frame(gaps)
    transformer = small().fit(made, target(made))
    assert transformer.transform(made).shape == (ROWS, len(transformer.formulas_))
    np.testing.assert_array_equal(transformer.transform(made.iloc[[3]]), transformer.transform(made)[[3]])


def test_pandas_polars_arrow_and_objects_give_the_same_features() -> None:
    made = frame()
    transformer = small().fit(made, target(made))
    expected = transformer.transform(made)
    arrow = pa.Table.from_pandas(made)
    for other in (
        arrow,
        pl.DataFrame(arrow),
        pl.LazyFrame(arrow),
        made.convert_dtypes(dtype_backend="pyarrow"),
        made.astype(object),
    ):
        np.testing.assert_array_equal(transformer.transform(other), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array has no names, and scikit-learn says so
        np.testing.assert_array_equal(transformer.transform(made.to_numpy(dtype=object)), expected)
    names = [small().fit(each, target(made)).get_feature_names_out().tolist() for each in (arrow, pl.DataFrame(arrow))]
    assert names == [transformer.get_feature_names_out().tolist()] * 2


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(["yes", "no"] * 60, dtype="string"),
        pd.Series([1, 0] * 60, dtype="Int64"),
        pd.Series([1, 0] * 60, dtype="bool[pyarrow]"),
        pd.Series(pd.Categorical([5, 700] * 60)),
        pl.Series(["yes", "no"] * 60),
        pd.Series(["yes", "no"] * 60, dtype="category"),
    ],
)
def test_targets_of_all_types_are_classes(y: Any) -> None:
    transformer = small().fit(frame(gaps=False), y)
    assert any(column.endswith("error") or "loss" in column for column in transformer.front_.columns)


def test_a_target_with_na_is_refused() -> None:
    y = pd.Series([1, 0] * 60, dtype="Int64")
    y[3] = pd.NA
    with pytest.raises(ValueError, match="found 1 missing ones; drop these rows"):
        small().fit(frame(), y)


def test_spans_and_dates_come_out_as_the_numbers_they_were_read_as() -> None:
    made = pd.DataFrame(
        {
            "span": pd.to_timedelta(np.arange(ROWS), unit="h"),
            "when": pd.date_range("2024-01-01", periods=ROWS),
            "text": [f"{row}.5" if row % 5 else "?" for row in range(ROWS)],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts are read as numbers, and fit says so
        transformer = small().set_output(transform="pandas").fit(made, np.arange(ROWS) % 7 > 3)
    out = transformer.transform(made)
    assert {str(dtype) for dtype in out.dtypes} == {"float64"}
    assert {"span", "when", "text", "month of when"} <= set(out.columns)
    assert out["span"].iloc[12] == 0.5


def test_whole_numbers_that_floats_hold_but_in_part_come_out_as_they_came() -> None:
    large = np.array([2**60 + 2**20 * row for row in range(ROWS)])  # which are apart as floats, too
    made = pd.DataFrame({"x": np.arange(ROWS) ** 1.5, "signed": large, "unsigned": large.astype(np.uint64)})
    for frame in (made, pl.DataFrame(made.to_dict("list"), schema_overrides={"unsigned": pl.UInt64})):
        library = type(frame).__module__.partition(".")[0]
        out = small().set_output(transform=library).fit(frame, np.arange(ROWS) % 7 > 3).transform(frame)
        for name in ("signed", "unsigned"):
            assert out[name].dtype == frame[name].dtype
            assert out[name].to_list() == large.tolist()


def test_numbers_and_spans_that_came_as_objects_come_out_as_numbers_that_learners_take() -> None:
    gaps = np.arange(ROWS) % 9 == 0
    held = {
        "price": [None if gap else Decimal(row) / 4 for row, gap in enumerate(gaps)],
        "took": [None if gap else timedelta(hours=6 * row) for row, gap in enumerate(gaps)],
        "count": [None if gap else row for row, gap in enumerate(gaps)],
        "name": ["pq"[row % 7 % 2] for row in range(ROWS)],
    }
    made = pd.DataFrame({name: np.array(column, dtype=object) for name, column in held.items()}, dtype=object)
    out = small().set_output(transform="pandas").fit(made, np.arange(ROWS) % 7 > 3).transform(made)
    assert [str(out[name].dtype) for name in held] == ["float64", "float64", "float64", "object"]
    for name, unit in (("price", 0.25), ("took", 0.25), ("count", 1.0)):
        np.testing.assert_array_equal(out[name], np.where(gaps, np.nan, np.arange(ROWS) * unit))
