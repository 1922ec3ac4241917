"""The scikit-learn transformer: scikit-learn's own checks, frames of all kinds, pipelines, bad input, save and load."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_fit2d_1sample,
    check_n_features_in_after_fitting,
    check_transformer_general,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    estimator_checks_generator,
)
from tables_for_tests import mixed, numbers

from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.formulas.formula import sources
from emoprune.problems.tables.scikit_learn.given import columns_given

pytestmark = pytest.mark.usefixtures("compared_briefly")


def small(**options: Any) -> EvolvedFeatures:
    settings: dict[str, Any] = {"population": 4, "generations": 2, "references": (), "budget": 60, "survivors": 4}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


def fitted(frame: Any, target: Any, **options: Any) -> EvolvedFeatures:
    return small(**options).fit(frame, target)


THREE_KINDS: dict[str, Any] = {"operators": ("group-mean", "divide", "combine"), "survivors": 8}


@pytest.fixture(scope="module")
def of_mixed(compared_briefly: None) -> EvolvedFeatures:
    """Return what is fitted to the mixed table and has new features, for tests that only look at it."""
    columns, target = mixed()
    found = fitted(pd.DataFrame(columns), target, **THREE_KINDS)
    assert len(found.formulas_) > len(columns)
    return found


# What scikit-learn's checks leave out here, with the reason.
NOT_APPLICABLE = {
    "check_array_api_input": "formulas are computed in numpy, on other arrays' CPU copies",
}
FAST = small(generations=1, population=4, budget=30, survivors=2)


@pytest.mark.parametrize(
    "check",
    [check for _, check in estimator_checks_generator(FAST)],
    ids=[getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(FAST)],
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow  # some eighty fits, each of them a whole search
def test_scikit_learn_s_checks_pass(check: Any) -> None:
    name = check.func.__name__
    if name in NOT_APPLICABLE:
        pytest.skip(NOT_APPLICABLE[name])
    check(clone(FAST))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_transformer_general,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
        check_fit2d_1sample,
        check_n_features_in_after_fitting,
    ],
)
def test_the_checks_that_a_change_breaks_first_pass(check: Any) -> None:
    check("EvolvedFeatures", clone(FAST))


def test_pandas_polars_and_mappings_of_rows_give_the_same_features(of_mixed: EvolvedFeatures) -> None:
    columns, target = mixed()
    frames = (pd.DataFrame(columns), pl.DataFrame(columns, strict=False))
    found = (of_mixed, fitted(frames[1], target, **THREE_KINDS))
    assert found[0].get_feature_names_out().tolist() == found[1].get_feature_names_out().tolist()
    np.testing.assert_array_equal(found[0].transform(frames[0]), found[1].transform(frames[1]))
    assert found[0].transform(frames[1]).shape == (160, len(found[0].formulas_))


def test_categories_of_pandas_are_categories_and_numbers_can_be_declared_so(of_mixed: EvolvedFeatures) -> None:
    columns, target = mixed()
    frame = pd.DataFrame(columns)
    typed = fitted(frame.astype({"city": "category", "colour": "string"}), target, **THREE_KINDS)
    assert of_mixed.get_feature_names_out().tolist() == typed.get_feature_names_out().tolist()
    declared = fitted(frame, target, categorical=("grade",), operators=("combine",), survivors=8)
    made = [formula for formula in declared.front_["name"] if formula]
    assert made is not None
    assert declared.features_.plan["format"] == "emoprune.features/1"


def test_a_single_row_and_unseen_or_missing_categories_are_transformed() -> None:
    columns, target = mixed()
    frame = pd.DataFrame(columns)
    transformer = fitted(frame, target, operators=("group-mean", "combined-frequency", "frequency"), survivors=8)
    whole = transformer.transform(frame)
    np.testing.assert_array_equal(transformer.transform(frame.iloc[[7]]), whole[[7]])
    strange = frame.iloc[:3].copy()
    strange["city"] = ["never seen", None, "a"]
    assert transformer.transform(strange).shape == (3, whole.shape[1])


def test_it_works_in_a_pipeline_and_under_cross_validation() -> None:
    columns, target = mixed(200)
    pipeline = make_pipeline(small(), SimpleImputer(), LogisticRegression(max_iter=500))
    scores = cross_val_score(pipeline, pd.DataFrame(columns), target, cv=2)
    assert scores.mean() > 0.6


def test_a_frame_comes_out_where_one_is_asked_for() -> None:
    columns, target = mixed()
    transformer = small().set_output(transform="pandas")
    out = transformer.fit_transform(pd.DataFrame(columns), target)
    assert list(out.columns) == transformer.get_feature_names_out().tolist()


def test_the_front_has_scores_on_all_three_parts_and_the_choice_is_of_it(of_mixed: EvolvedFeatures) -> None:
    scores = {f"{part}.log_loss" for part in ("obj", "select", "test")}
    assert scores | {"obj.new-columns", "difference", "standard error"} <= set(of_mixed.front_.columns)
    unpruned = of_mixed.front_[of_mixed.front_["name"] == "unpruned"]
    assert unpruned[["obj.new-columns", "difference", "standard error"]].to_numpy().tolist() == [[0.0, 0.0, 0.0]]


def test_the_front_says_what_its_folds_say_when_they_are_scored_anew() -> None:
    columns, noise = numbers(200)
    frame, splitter = pd.DataFrame(columns)[["x1", "x2", "x3"]], TimeSeriesSplit(3)
    target = frame["x1"].to_numpy() - 0.5 * frame["x2"].to_numpy() + noise
    weights = np.random.default_rng(0).gamma(2.0, size=200)
    transformer = small(learner=LinearRegression(), mode="select", references=("rfe",), splits=splitter, folds=3)
    transformer.set_params(survivors=0, others=0, slots=0).fit(frame, target, sample_weight=weights)

    def lost(names: Sequence[str], train: Any, scored: Any) -> float:
        inputs = frame[list(names)].to_numpy()
        model = LinearRegression().fit(inputs[train], target[train], weights[train])
        return float(
            np.sqrt(np.average((model.predict(inputs[scored]) - target[scored]) ** 2, weights=weights[scored]))
        )

    def folds(names: Sequence[str], rows: int) -> np.ndarray:
        return np.array([lost(names, *pair) for pair in splitter.split(np.zeros(rows))])

    search, select, test = np.split(np.arange(200), [160, 180])
    expected = {}
    for count in (1, 2, 3):
        for names in combinations(frame.columns, count):
            later = folds(names, 180).mean() - folds(tuple(frame.columns), 180).mean()
            scores = folds(names, 160).mean(), lost(names, search, select), lost(names, search, test), later
            expected[round(scores[0], 9)] = (*scores, count)
    own = ("obj", "select", "test")
    shown = [*(f"{part}.root_mean_squared_error" for part in own), "measured difference", "obj.columns"]
    found = transformer.front_[transformer.front_["con.folds"] == 3][shown].to_numpy()
    assert len(found) > 1
    assert set(transformer.front_["held against"].dropna()) == {"all columns"}
    np.testing.assert_allclose(found, [expected[round(row[0], 9)] for row in found], atol=1e-9)


def test_a_number_of_columns_is_kept_to() -> None:
    columns, target = mixed()
    for most in (1, 3):
        transformer = fitted(
            pd.DataFrame(columns), target, mode="select", choose=most, references=("rfe", "mutual-information")
        )
        assert 1 <= len(transformer.formulas_) <= most


def test_groups_stay_together_and_the_run_can_be_kept(tmp_path: Path) -> None:
    columns, target = mixed()
    transformer = small(runs=tmp_path)
    transformer.fit(pd.DataFrame(columns), target, groups=np.arange(160) // 4)
    (run,) = [entry for entry in tmp_path.iterdir() if (entry / "manifest.json").is_file()]
    assert (run / "pareto.csv").is_file()


def test_a_regression_finds_the_quotient_it_is_made_of() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{number}": rng.lognormal(size=300) for number in range(5)})
    target = frame["x0"] / frame["x1"]
    transformer = fitted(frame, target, references=("forward-new",), budget=400, survivors=10)
    assert any(sources(term) == {"x0", "x1"} for term in transformer.formulas_)


def test_the_same_seed_finds_the_same_and_a_clone_has_the_same_parameters() -> None:
    columns, target = numbers()
    frame = pd.DataFrame(columns)
    first, second = fitted(frame, target), clone(fitted(frame, target)).fit(frame, target)
    np.testing.assert_array_equal(first.transform(frame), second.transform(frame))
    pd.testing.assert_frame_equal(first.front_.filter(like="."), second.front_.filter(like="."))


def test_what_was_fitted_is_written_without_pickle_and_read_again(tmp_path: Path, of_mixed: EvolvedFeatures) -> None:
    columns, _ = mixed()
    frame, transformer = pd.DataFrame(columns), of_mixed
    transformer.save(tmp_path / "features")
    assert {path.name for path in (tmp_path / "features").iterdir()} == {
        "features.json",
        "statistics.npz",
        "features.py",
    }
    loaded = EvolvedFeatures.load(tmp_path / "features")
    np.testing.assert_array_equal(loaded.transform(frame), transformer.transform(frame))
    needed = transformer.features_.plan["needs"]
    reordered = frame[list(reversed(frame.columns))].assign(more=1.0)
    np.testing.assert_array_equal(loaded.transform(reordered), transformer.transform(frame))
    assert loaded.get_feature_names_out().tolist() == transformer.get_feature_names_out().tolist()
    copied = pickle.loads(pickle.dumps(transformer))  # noqa: S301  # only what was just dumped is loaded
    np.testing.assert_array_equal(copied.transform(frame), transformer.transform(frame))
    with pytest.raises(KeyError, match=f"expected a column '{needed[0]}'"):
        loaded.transform(frame.drop(columns=needed[0]))
    with pytest.raises(ConfigError, match=r"expected features.json and statistics.npz"):
        EvolvedFeatures.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda frame: frame.drop(columns="city"), "feature names should match"),
        (lambda frame: frame[list(reversed(frame.columns))], "must be in the same order"),
        (lambda frame: frame.assign(new=1.0), "feature names should match"),
        (lambda frame: frame.assign(size="big"), "column 'size': expected numbers, found texts such as 'big'"),
        (lambda frame: frame.assign(weight=np.inf), "column 'weight': expected finite or missing"),
        (lambda frame: frame.iloc[:0], "expected at least 1 rows|0 sample"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(change: Any, complaint: str, of_mixed: EvolvedFeatures) -> None:
    columns, _ = mixed()
    with pytest.raises(ValueError, match=complaint):
        of_mixed.transform(change(pd.DataFrame(columns)))


@pytest.mark.parametrize(
    ("options", "target", "complaint"),
    [
        ({}, ["a"] * 160, "at least two classes, found one class"),
        ({}, [np.nan] * 160, "found 160 missing ones"),
        ({}, ["a", "b"], "inconsistent numbers of samples"),
        ({"choose": "largest"}, None, "choose: expected best, sparse, knee or a number"),
        ({"choose": 0}, None, "choose: expected best, sparse, knee or a number"),
        ({"learner": "none"}, None, "no learner is called 'none'"),
        ({"operators": ("modulo",)}, None, "no operator is called 'modulo'"),
        ({"references": ("all",)}, None, "references: no reference is called 'all'"),
        ({"population": 1}, None, "search.population: expected an integer from 4"),
        ({"task": "regression"}, None, "expected numbers for a regression"),
    ],
)
def test_what_cannot_be_fitted_is_refused_at_fit(options: dict[str, Any], target: Any, complaint: str) -> None:
    columns, own = mixed()
    with pytest.raises(ValueError, match=complaint):
        small(**options).fit(pd.DataFrame(columns), own if target is None else target)


def test_columns_of_no_use_are_said_and_a_copy_of_the_target_is_warned_of() -> None:
    columns, target = mixed()
    frame = pd.DataFrame(columns).assign(flat=1.0, copy=(target == "yes").astype(float))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(frame, target)
    said = " ".join(str(each.message) for each in caught)
    assert "flat is left out: it is constant, 1" in said
    assert "Column 'copy' is the target itself" in said


def test_dates_are_numbers() -> None:
    columns, target = mixed()
    frame = pd.DataFrame(columns)
    frame["day"] = pd.date_range("2020-01-01", periods=len(frame))
    transformer = fitted(frame, target)
    assert transformer.transform(frame.iloc[:5]).shape[0] == 5


def plain_frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=["a", "b", "c"]).assign(one=1.0)


def test_two_columns_of_one_name_are_refused_in_fit_and_transform() -> None:
    frame = plain_frame()
    doubled = frame.set_axis(["a", "b", "b", "one"], axis=1)
    with pytest.raises(ConfigError, match="every column name once, found 'b' 2 times; rename one"):
        fitted(doubled, frame["a"] / 2)
    with pytest.warns(UserWarning, match="one is left out"):
        features = fitted(frame, frame["a"] + frame["b"], learner="ridge", generations=1)
    with pytest.raises(ConfigError, match="every column name once, found 'b' 2 times; rename one"):
        features.transform(doubled)


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize(
    ("options", "fit", "complaint"),
    [
        ({"keep": "ab"}, {}, r"keep: expected a list of names of columns, found 'ab'; write \['ab'\]"),
        ({"categorical": "a"}, {}, "categorical: expected a list of names"),
        ({"keep": [0]}, {}, "keep: there is no column '0'"),
        ({"keep": ["one"]}, {}, "keep: one is left out: it is constant, 1. Take it out of `keep`"),
        ({"folds": 0}, {}, "folds: expected at least 1, found 0"),
        ({"choose": np.array([1, 2])}, {}, "choose: expected best, sparse, knee"),
        ({"metric": "f1"}, {}, "metric: 'f1' cannot judge a regression task"),
        ({}, {"sample_weight": ["x"] * 80}, "weights: expected a number for each row"),
        ({}, {"sample_weight": np.arange(80) < 1}, "weights: expected a weight above zero among the rows to"),
        ({}, {"groups": np.zeros((80, 2))}, "groups: expected one value per row"),
    ],
    ids=str,
)
def test_a_mistake_is_answered_with_what_was_expected(options: Any, fit: Any, complaint: str) -> None:
    frame = plain_frame()
    with pytest.raises(ConfigError, match=complaint):
        small(**options).fit(frame, frame["a"] + frame["b"], **fit)


def test_columns_by_name_and_records_are_frames() -> None:
    columns = {"size": np.array([1.0, 2.0, np.nan]), "city": np.array(["a", "b", None], dtype=object)}
    records = np.rec.fromarrays(list(columns.values()), names=list(columns))
    for given in (columns, records):
        estimator = EvolvedFeatures()
        found = columns_given(estimator, given, reset=True)
        assert estimator.feature_names_in_.tolist() == ["size", "city"]
        np.testing.assert_array_equal(found["size"], columns["size"])
        assert found["city"].tolist() == ["a", "b", None]


def test_a_sparse_matrix_that_is_a_mapping_is_no_frame() -> None:
    dense = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    found = columns_given(EvolvedFeatures(), scipy.sparse.dok_array(dense), reset=True)
    np.testing.assert_array_equal(np.column_stack(list(found.values())), dense)


def test_a_frame_without_columns_is_not_said_to_lack_rows() -> None:
    with pytest.raises(ValueError, match="expected at least one column"):
        small().fit(pd.DataFrame(index=range(9)), np.arange(9.0))
