"""Splitters, estimators and scorers given as objects; and what is none, refused before anything is searched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    fbeta_score,
    log_loss,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables_for_tests import mixed, numbers, table

from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.learners.by_name import learner_plan
from emoprune.problems.tables.rows.given_splits import checked_splits
from emoprune.problems.tables.rows.splits import SplitKind, Splits, split
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.table import Task

pytestmark = pytest.mark.usefixtures("compared_briefly")

ROWS = 160
DATA = table(mixed(ROWS))


def small(**options: Any) -> EvolvedFeatures:
    """Return a transformer that is fitted fast."""
    settings: dict[str, Any] = {"population": 4, "generations": 1, "references": (), "budget": 20, "survivors": 2}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


def cut(given: Any, data: Any = DATA, **options: Any) -> Any:
    return split(data, Splits(checked_splits(given, SplitKind), **options))


@pytest.mark.parametrize(
    ("splitter", "folds"),
    [
        (KFold(3), 3),
        (StratifiedKFold(4, shuffle=True), 4),
        (RepeatedStratifiedKFold(n_splits=2, n_repeats=3), 6),
        (ShuffleSplit(5, test_size=0.3), 5),
        (TimeSeriesSplit(3), 3),
        (TimeSeriesSplit(3, gap=5), 3),
    ],
)
def test_a_splitter_cuts_the_rows_to_search_on_and_nothing_else(splitter: Any, folds: int) -> None:
    parts, again = cut(splitter), cut(splitter)
    assert len(parts.folds) == folds
    held = np.concatenate([parts.select.scored, parts.test.scored])
    assert sorted([*parts.search, *held]) == list(range(ROWS))
    expected = splitter.split(np.zeros((len(parts.search), 1)), DATA.target[parts.search])
    for block, other, (train, scored) in zip(parts.folds, again.folds, expected, strict=True):
        assert not np.isin([*block.train, *block.scored], held).any()
        assert not np.intersect1d(block.train, block.scored).size
        np.testing.assert_array_equal(block.scored, other.scored)
        assert (len(block.train), len(block.scored)) == (len(train), len(scored))


def test_folds_that_go_forward_leave_the_last_rows_to_select_and_to_test_on() -> None:
    parts = cut(TimeSeriesSplit(3))
    assert parts.search.tolist() == list(range(96))
    assert parts.select.scored.tolist() == list(range(96, 128))
    assert parts.test.scored.tolist() == list(range(128, 160))
    for block in parts.folds:
        assert block.train.max() < block.scored.min()


def test_pairs_of_rows_or_masks_are_taken_as_far_as_they_lie_among_the_rows_to_search_on() -> None:
    pairs = list(KFold(4).split(np.zeros(ROWS)))
    masks = [(np.isin(np.arange(ROWS), train), np.isin(np.arange(ROWS), scored)) for train, scored in pairs]
    fold_of = np.repeat(np.arange(4), ROWS // 4)
    for given in (pairs, iter(pairs), masks, tuple(pairs), PredefinedSplit(fold_of)):
        parts = cut(given)
        assert len(parts.folds) == 4
        for block, (train, scored) in zip(parts.folds, pairs, strict=True):
            np.testing.assert_array_equal(block.train, np.intersect1d(train, parts.search))
            np.testing.assert_array_equal(block.scored, np.intersect1d(scored, parts.search))


def test_groups_reach_a_splitter_and_stay_together_in_all_parts() -> None:
    from dataclasses import replace

    groups = np.repeat(np.arange(20), 8)
    data = replace(DATA, groups=groups)
    for splitter in (GroupKFold(3), LeaveOneGroupOut()):
        parts = cut(splitter, data)
        for block in (*parts.folds, parts.select, parts.test):
            assert not np.intersect1d(groups[block.train], groups[block.scored]).size
    with pytest.raises(
        ConfigError, match=r"splits: GroupKFold cannot cut .* rows: The 'groups' parameter should not be"
    ):
        cut(GroupKFold(3))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("timeseries", r"splits: expected a name, .* found 'timeseries' \(there are: auto, stratified,"),
        ("stratifed", "did you mean 'stratified'"),
        (3, "splits: expected a name, .* found '3'"),
        (KFold, "splits: expected a name"),
        ([], "splits: expected a name"),
        ([(1, 2)], "expected places of rows or a mask"),
        ([("a", "b", "c")], "splits: expected a name"),
        ([(np.arange(5), np.arange(900, 905))], "expected places of 160 rows, found 0 to 904"),
        ([(np.arange(5), np.arange(4, 9))], "no row both to learn on and to score"),
        (PredefinedSplit(np.zeros(ROWS, dtype=int)), "splits: the pairs of rows leave no rows to learn on"),
        (PredefinedSplit(np.zeros(ROWS + 5, dtype=int)), "expected places of 160 rows, found 0 to 164"),
        ([(np.ones(9, dtype=bool), np.zeros(9, dtype=bool))], "splits: expected masks of 160 rows, found one of 9"),
        (KFold(400), "splits: KFold cannot cut 160 rows"),
    ],
)
def test_splits_that_are_none_are_refused_before_anything_is_searched(given: Any, complaint: str) -> None:
    columns, target = mixed(ROWS)
    with pytest.raises(ConfigError, match=complaint):
        small(splits=given).fit(pd.DataFrame(columns), target)


def test_a_transformer_is_fitted_with_a_splitter_and_with_pairs() -> None:
    columns, target = mixed(ROWS)
    for given in (TimeSeriesSplit(2), list(KFold(2).split(target)), iter(list(KFold(2).split(target)))):
        assert small(splits=given).fit(pd.DataFrame(columns), target).transform(pd.DataFrame(columns)).shape[0] == ROWS


@pytest.mark.parametrize(
    "learner",
    [
        LogisticRegression(max_iter=200),
        ExtraTreesClassifier(5),
        make_pipeline(StandardScaler(), LogisticRegression()),
        LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1),  # left alone it takes all cores, and waits for them
    ],
    ids=lambda learner: type(learner).__name__,
)
def test_an_estimator_is_a_learner_and_is_not_touched(learner: Any) -> None:
    columns, target = mixed(ROWS)
    before = str(learner.get_params())
    transformer = small(learner=learner)
    assert clone(transformer).learner is not learner
    first, second = (transformer.fit(pd.DataFrame(columns), target).front_ for _ in range(2))
    pd.testing.assert_frame_equal(first.filter(regex="obj|name"), second.filter(regex="obj|name"))
    assert str(learner.get_params()) == before
    assert not hasattr(learner, "classes_")


@pytest.mark.parametrize(
    ("given", "task", "name", "value", "maximised"),
    [
        (make_scorer(accuracy_score), Task.BINARY, "accuracy_score", 0.75, True),
        (make_scorer(fbeta_score, beta=2), Task.BINARY, "fbeta_score", 10 / 11, True),
        (
            make_scorer(brier_score_loss, greater_is_better=False, response_method="predict_proba"),
            Task.BINARY,
            "brier_score_loss",
            0.195,
            False,
        ),
        (accuracy_score, Task.BINARY, "accuracy_score", 0.75, True),
        (log_loss, Task.BINARY, "log_loss", None, False),
        (roc_auc_score, Task.BINARY, "roc_auc_score", 1.0, True),
        (mean_absolute_error, Task.REGRESSION, "mean_absolute_error", 0.5, False),
        (r2_score, Task.REGRESSION, "r2_score", 0.6, True),
        ("accuracy", Task.BINARY, "accuracy", 0.75, True),
    ],
)
def test_a_scorer_or_a_function_is_a_metric_in_its_natural_sign(
    given: Any, task: Task, name: str, value: float | None, maximised: bool
) -> None:
    metric = metric_named(given, task)
    if task is Task.REGRESSION:
        score = metric(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 0.5, 2.5, 3.5]) + np.array([0, 0, 0, 0]))
        value = {"mean_absolute_error": 0.5, "r2_score": 0.8}[name]
    else:
        predictions = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
        score = metric(np.array([0.0, 0.0, 1.0, 1.0]), predictions)
        value = {
            "brier_score_loss": 0.125,
            "log_loss": metric_named("log_loss", task)(np.array([0.0, 0, 1, 1]), predictions),
        }.get(name, value)
    assert (metric.name, metric.maximised) == (name, maximised)
    assert score == pytest.approx(value)
    assert metric.loss(np.array([0.0, 1.0]), np.eye(2) if task is not Task.REGRESSION else np.array([0.0, 1.0])) <= 1e-9


def _own(estimator: Any, inputs: Any, target: Any) -> float:
    return float((estimator.predict(inputs) == target).mean())


def test_a_scorer_of_one_s_own_leads_a_search() -> None:
    columns, target = mixed(ROWS)
    front = small(metric=_own).fit(pd.DataFrame(columns), target).front_
    assert front["obj._own"].between(0.5, 1).all()


def unsaid(target: Any, predicted: Any) -> float:
    """Say nothing of the direction."""
    return float(np.mean(target == predicted))


def failing(*_: Any) -> Any:
    raise AssertionError("the search began")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"task": "clasification"}, "task: expected one of auto, classification, regression, found 'clasification'"),
        ({"choose": "largest"}, "choose: expected best, sparse, knee or a number of columns"),
        ({"choose": 1.5}, "choose: expected"),
        ({"choose": True}, "choose: expected"),
        ({"metric": "acuracy"}, "metric: no metric is called 'acuracy'"),
        ({"metric": unsaid}, "metric: unsaid does not say whether more is better; give it as make_scorer"),
        ({"metric": 3}, "metric: expected a name, a scorer or a function"),
        ({"metric": make_scorer(r2_score, response_method="decision_function")}, "cannot judge a binary task"),
        ({"learner": "lightgmb"}, "learner: no learner is called 'lightgmb'"),
        ({"learner": 3}, "learner: expected a name, a mapping .* or an estimator"),
        ({"learner": Ridge()}, "learner: Ridge is not for a binary task"),
        ({"learner": LogisticRegression}, "learner: expected an estimator"),
        ({"categorical": ("town",)}, "categorical: there is no column 'town'"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_search_begins(
    options: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emoprune.loop.search.search", failing)
    columns, target = mixed(ROWS)
    with pytest.raises(ConfigError, match=complaint):
        small(**options).fit(pd.DataFrame(columns), target)


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([1, 2, 3], "groups: expected one for each of 160 rows, found 3"),
        ([None, "None"] * (ROWS // 2), "groups: expected one for each row, found none for 80 of 160 rows"),
        ([np.nan, 1.0] * (ROWS // 2), "groups: expected one for each row, found none for 80 of 160 rows"),
    ],
)
def test_groups_that_some_rows_lack_are_refused(groups: list[Any], complaint: str) -> None:
    columns, target = mixed(ROWS)
    with pytest.raises(ConfigError, match=complaint):
        small().fit(pd.DataFrame(columns), target, groups=groups)


@pytest.mark.parametrize("metric", ["roc_auc", roc_auc_score])
def test_a_class_of_few_rows_is_refused_for_a_metric_that_ranks(metric: Any) -> None:
    columns, _ = mixed(ROWS)
    target = np.array(["rare", *["often"] * (ROWS - 1)], dtype=object)
    with pytest.raises(
        ConfigError, match=r"metric: 'roc_auc\w*' needs rows of every class in each part, and class 'rare' has 1"
    ):
        small(metric=metric).fit(pd.DataFrame(columns), target)
    assert small(metric="log_loss").fit(pd.DataFrame(columns), target).front_ is not None


def test_the_task_of_a_learner_is_told_from_the_table() -> None:
    columns, target = numbers()
    assert learner_plan(Ridge(), Task.REGRESSION).name == "Ridge"
    assert small(learner=Ridge()).fit(pd.DataFrame(columns), target).front_ is not None
