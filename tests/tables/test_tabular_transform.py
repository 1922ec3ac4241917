"""What a search found in pipelines: without a fit, cloned, pickled, in frames that boosting libraries take."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from tables_for_tests import table

from emoprune.commands.export import export
from emoprune.errors import ConfigError
from emoprune.loop.search import search
from emoprune.problems.tables import EvolvedFeatures, TabularTransform
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.features import Features, load_features
from emoprune.problems.tables.subsets.export import write_features

ROWS = 300
QUOTIENT = Formula("divide", (Column("size [m]"), Column("weight")))
MEAN = Formula("group-mean", (Column("city"), Column("weight")))
PAIR = Formula("combine", (Column("city"), Column("colour")))


def frame(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return numbers and categories with gaps, under names that some libraries refuse."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame({"size [m]": rng.normal(size=rows), "weight": rng.lognormal(size=rows)})
    made["city"] = rng.choice(np.array(["a", "b", "c <x>"], dtype=object), rows)
    made["colour"] = pd.Categorical(rng.choice(["red", "blue"], rows))
    made["level"] = rng.integers(0, 4, rows)
    for place, name in enumerate(["size [m]", "city", "colour"]):
        made.loc[place::10, name] = None
    return made


def target(made: pd.DataFrame) -> np.ndarray:
    return np.where((made["size [m]"] / made["weight"]).fillna(0) + (made["city"] == "b") > 0.4, 1, 0)


def features(rows: slice = slice(None)) -> Features:
    """Return all columns and some formulas, with what they learn on some rows."""
    made = frame()
    data = table(({name: made[name].to_numpy() for name in made}, target(made).astype(float)))
    block = Block("some", np.arange(ROWS)[rows], np.arange(0))
    return features_of(Computed(data), block, (*data.terms, QUOTIENT, MEAN, PAIR))


@pytest.fixture(name="folder")
def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    write_features(folder, features(slice(0, 200)))
    return folder


def test_it_computes_what_was_found_without_a_fit_from_all_that_holds_it(folder: Path) -> None:
    made, expected = frame(), features(slice(0, 200)).transform(frame())
    found = EvolvedFeatures.load(folder)
    for source in (folder, str(folder), found, found.features_):
        transform = TabularTransform(source)
        np.testing.assert_array_equal(transform.transform(made), expected)
        np.testing.assert_array_equal(transform.fit(made[:50]).transform(made.iloc[[7]]), expected[[7]])
        np.testing.assert_array_equal(clone(transform).transform(made), expected)


def test_a_run_with_one_export_is_a_source_and_one_with_several_is_told_to_say_which(tmp_path: Path) -> None:
    config = {
        "problem": {"name": "features", "data": "iris", "budget": 30, "survivors": 3, "folds": 2, "references": []},
        "search": {"population": 6, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    searching = search(config, runs=tmp_path)
    list(searching)
    run = searching.run.path
    (run / "exports").mkdir(exist_ok=True)
    made = load_iris(as_frame=True).data.rename(columns=lambda name: name.removesuffix(" (cm)"))
    with pytest.raises(ConfigError, match="expected a run with one export, found none; write one with"):
        TabularTransform(run).transform(made)
    first, *others = searching.run.pareto["candidate_id"]
    export(searching.run, str(first))
    (folder,) = (run / "exports").iterdir()
    np.testing.assert_array_equal(TabularTransform(run).transform(made), load_features(folder).transform(made))
    export(searching.run, str(others[0]))
    with pytest.raises(ConfigError, match=r"expected a run with one export, found .*exports.*, .*exports"):
        TabularTransform(run).transform(made)


def test_rows_come_in_any_frame_with_the_columns_in_any_order_and_others(folder: Path) -> None:
    made, transform = frame(), TabularTransform(folder)
    expected = transform.transform(made)
    shuffled = made[made.columns[::-1]].assign(other=[[1]] * ROWS)
    for given in (shuffled, pl.from_pandas(made), pl.from_pandas(made).to_arrow(), pl.from_pandas(made).lazy()):
        np.testing.assert_array_equal(transform.transform(given), expected)
    np.testing.assert_array_equal(transform.transform({name: made[name].to_numpy() for name in made}), expected)
    assert np.isnan(transform.transform(made.assign(city="elsewhere").iloc[[1]])).any()


def test_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none called weight; give a frame"):
        TabularTransform(folder).transform(frame().drop(columns="weight"))
    with pytest.raises(ValueError, match="found none called"):
        TabularTransform(folder).transform(np.zeros((3, 5)))
    with pytest.raises(ConfigError, match=r"expected features.json and statistics.npz"):
        TabularTransform(tmp_path / "nowhere").transform(frame())
    for source in (None, EvolvedFeatures()):
        with pytest.raises(ConfigError, match="source: expected a folder"):
            TabularTransform(source).fit(frame())
    with pytest.raises(NotFittedError):
        TabularTransform(folder, refit=True).transform(frame())


def test_refit_learns_statistics_of_the_rows_of_fit_and_else_they_stay(folder: Path) -> None:
    made = frame()
    frozen, anew = TabularTransform(folder).fit(made), TabularTransform(folder, refit=True).fit(made)
    np.testing.assert_array_equal(frozen.transform(made), features(slice(0, 200)).transform(made))
    np.testing.assert_array_equal(anew.transform(made), features().transform(made))
    fold = TabularTransform(folder, refit=True).fit(made[:200])
    np.testing.assert_array_equal(fold.transform(made), frozen.transform(made))


def test_pickles_need_no_folder(folder: Path, tmp_path: Path) -> None:
    made, transform = frame(), TabularTransform(folder, refit=True).fit(frame()[:150])
    joblib.dump((transform, TabularTransform(folder)), tmp_path / "kept")
    pickled = pickle.dumps(TabularTransform(str(folder)))
    expected = transform.transform(made), TabularTransform(folder).transform(made)
    for path in folder.iterdir():
        path.unlink()
    loaded = (*joblib.load(tmp_path / "kept"), pickle.loads(pickled))  # noqa: S301  # written two lines above
    for each, own in zip(loaded, (*expected, expected[1]), strict=True):
        np.testing.assert_array_equal(each.transform(made), own)
    np.testing.assert_array_equal(loaded[0].fit(made[:150]).transform(made), expected[0])


def test_it_is_a_step_of_pipelines_searches_and_column_transformers(folder: Path) -> None:
    made, y = frame(), target(frame())
    transform = TabularTransform(folder)
    assert transform.get_params() == {"source": folder, "refit": False, "missing": None}
    model = make_pipeline(transform, SimpleImputer(), LogisticRegression(max_iter=1000))
    assert cross_val_score(model, made, y, cv=3).mean() > 0.7
    search_of = GridSearchCV(model, {"tabulartransform__refit": [False, True]}, cv=2).fit(made, y)
    assert search_of.best_score_ > 0.7
    assert model.fit(made, y)[:-2].get_feature_names_out().tolist() == transform.get_feature_names_out().tolist()
    joined = ColumnTransformer([("new", transform, list(made.columns)), ("as is", "passthrough", ["weight"])])
    out = joined.set_output(transform="pandas").fit_transform(made)
    assert out.shape == (ROWS, len(transform.get_feature_names_out()) + 1)
    assert "new__size _m_ / weight" in out.columns
    assert isinstance(clone(transform).set_output(transform="pandas").transform(made), pd.DataFrame)
    kept = clone(clone(transform).set_output(transform="pandas")).transform(made)
    assert isinstance(kept, pd.DataFrame)


@pytest.mark.parametrize("missing", [None, "missing"])
def test_categories_come_out_as_the_same_categories_for_all_rows(folder: Path, missing: str | None) -> None:
    made = frame().set_index(np.arange(ROWS) + 1000)
    transform = TabularTransform(folder, missing=missing).set_output(transform="pandas")
    out, one = transform.transform(made), transform.transform(made[5:6])
    assert out.columns.tolist() == transform.get_feature_names_out().tolist()
    assert out.index.equals(made.index)
    assert out.dtypes.equals(one.dtypes)
    names = ["city", "colour", "city with colour"]
    assert out.select_dtypes("category").columns.tolist() == names
    assert out["city"].isna().any() == (missing is None)
    assert out["size _m_"].isna().any()
    pd.testing.assert_frame_equal(out.loc[[1005]], one)
    polars_out = transform.set_output(transform="polars").transform(made)
    assert polars_out.schema["city"] == pl.Enum([*out["city"].cat.categories])
    unseen = TabularTransform(folder, missing=missing).set_output(transform="pandas").transform(made.assign(city="z"))
    assert unseen["city"].isna().all() == (missing is None)


MODELS: dict[str, Any] = {
    "lightgbm classifier": lambda: lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1),
    "lightgbm regressor": lambda: lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1),
    "xgboost classifier": lambda: xgboost.XGBClassifier(n_estimators=20, enable_categorical=True, n_jobs=1),
    "xgboost regressor": lambda: xgboost.XGBRegressor(n_estimators=20, enable_categorical=True, n_jobs=1),
    "catboost": lambda: catboost.CatBoostClassifier(
        iterations=20, cat_features=("city", "colour", "city with colour"), verbose=0, allow_writing_files=False
    ),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("refit", [False, True])
def test_boosting_libraries_take_what_comes_out_and_split_on_categories(folder: Path, name: str, refit: bool) -> None:
    made, y = frame(), target(frame())
    missing = "missing" if name == "catboost" else None
    transform = TabularTransform(folder, refit=refit, missing=missing).set_output(transform="pandas")
    model = Pipeline([("features", transform), ("model", MODELS[name]())]).fit(made[:200], y[:200])
    wrong = np.mean((model.predict(made[200:]) > 0.5) != y[200:])
    assert wrong < 0.2
    shown = model.predict(made.iloc[[200]])
    np.testing.assert_allclose(shown, model.predict(made[200:])[:1], rtol=1e-6)
    assert model.predict(made[200:].assign(city="elsewhere")).shape == (100,)
    loaded = pickle.loads(pickle.dumps(model))  # noqa: S301  # what was just written
    np.testing.assert_array_equal(loaded.predict(made), model.predict(made))
    assert cross_val_score(model, made, y, cv=2).shape == (2,)
