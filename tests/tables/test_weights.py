"""Sample weights: what they change in training, in screening and in scores, and that they are routed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tables_for_tests import mixed, numbers

from emoprune.errors import ConfigError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.learners.by_name import learner_plan
from emoprune.problems.tables.openfe.boosting import constant
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.table import Table, Task

pytestmark = pytest.mark.usefixtures("compared_briefly")

ROWS = 160


def small(**options: Any) -> EvolvedFeatures:
    """Return a transformer that is fitted fast."""
    settings: dict[str, Any] = {"population": 4, "generations": 1, "references": (), "budget": 20, "survivors": 2}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


def weighted(rows: int = ROWS) -> tuple[Table, Table, np.ndarray]:
    """Return a table, the same one with rows that count 0, 1 or 2, and these whole weights."""
    columns, target = numbers(rows)
    counts = np.random.default_rng(3).integers(0, 3, rows)
    plain = plain_columns(columns)
    return table_of(plain, target, Wanted()), table_of(plain, target, Wanted(), weights=counts.astype(float)), counts


@pytest.mark.parametrize(
    ("name", "judge"),
    [
        ("error", lambda y, p, w: 1 - accuracy_score(y, p.argmax(axis=1), sample_weight=w)),
        ("accuracy", lambda y, p, w: accuracy_score(y, p.argmax(axis=1), sample_weight=w)),
        ("log_loss", lambda y, p, w: log_loss(y, p, sample_weight=w)),
        ("roc_auc", lambda y, p, w: roc_auc_score(y, p[:, 1], sample_weight=w)),
        ("balanced_accuracy", None),
    ],
)
def test_scores_of_classes_are_scikit_learn_s_weighted_ones(name: str, judge: Any) -> None:
    rng = np.random.default_rng(0)
    target, sure, weights = rng.integers(0, 2, 50).astype(float), rng.uniform(size=50), rng.uniform(size=50)
    predictions = np.column_stack([1 - sure, sure])
    found = metric_named(name, Task.BINARY)(target, predictions, weights)
    twice = np.repeat(np.arange(50), 2)
    assert metric_named(name, Task.BINARY)(target, predictions, np.full(50, 2.0)) == pytest.approx(
        metric_named(name, Task.BINARY)(target[twice], predictions[twice])
    )
    if judge is not None:
        assert found == pytest.approx(judge(target, predictions, weights))


@pytest.mark.parametrize("judge", [root_mean_squared_error, mean_absolute_error])
def test_scores_of_numbers_are_scikit_learn_s_weighted_ones(judge: Any) -> None:
    rng = np.random.default_rng(0)
    target, predictions, weights = rng.normal(size=50), rng.normal(size=50), rng.uniform(size=50)
    for metric in (metric_named(judge.__name__, Task.REGRESSION), metric_named(judge, Task.REGRESSION)):
        assert metric(target, predictions, weights) == pytest.approx(judge(target, predictions, sample_weight=weights))


@pytest.mark.parametrize("learner", ["ridge", "lightgbm", Ridge(), make_pipeline(StandardScaler(), Ridge())], ids=str)
def test_a_learner_sees_a_row_of_weight_two_twice_and_one_of_weight_nought_never(learner: Any) -> None:
    _, data, counts = weighted()
    rows = np.arange(ROWS)
    computed, block = Computed(data), Block("all", rows, rows)
    repeated = Block("repeated", np.repeat(rows, counts), rows)
    plan = learner_plan(learner, Task.REGRESSION)
    one = plan.made(Task.REGRESSION, 1).fitted(computed, block, data.terms, 0)
    blind = Computed(Table(data.columns, data.values, data.target, data.task))
    other = plan.made(Task.REGRESSION, 1).fitted(blind, repeated, data.terms, 0)
    inputs = computed.matrix(data.terms, block, rows)
    if learner == "lightgbm":  # its leaves count rows, whatever they weigh
        assert np.corrcoef(one.predict(inputs), other.predict(inputs))[0, 1] > 0.9
    elif learner == "ridge" or isinstance(learner, Ridge):
        unweighted = plan.made(Task.REGRESSION, 1).fitted(blind, block, data.terms, 0)
        assert np.abs(one.predict(inputs) - unweighted.predict(inputs)).max() > 1e-3
    assert np.isfinite(one.predict(inputs)).all()


def test_screening_starts_from_weighted_derivatives() -> None:
    _, data, counts = weighted()
    rows = np.arange(ROWS)
    start = constant(data, rows)
    assert start.raw[0, 0] == pytest.approx(np.average(data.target, weights=counts))
    assert not start.gradients[counts == 0].any()


@pytest.fixture(scope="module")
def plain(compared_briefly: None) -> pd.DataFrame:
    """Return the front of a search without weights."""
    columns, target = mixed(ROWS)
    return small().fit(pd.DataFrame(columns), target).front_


@pytest.mark.parametrize("weights", [np.full(ROWS, 3.0), [1] * ROWS], ids=["3.0", "1"])
def test_weights_that_are_all_alike_change_nothing(weights: Any, plain: pd.DataFrame) -> None:
    columns, target = mixed(ROWS)
    other = small().fit(pd.DataFrame(columns), target, sample_weight=weights).front_
    pd.testing.assert_frame_equal(plain.filter(like="."), other.filter(like="."))


def test_weights_lead_a_search_and_its_scores(plain: pd.DataFrame) -> None:
    columns, target = mixed(ROWS)
    weights = np.where(np.asarray(columns["grade"]) > 2, 10.0, 0.1)
    heavy = small().fit(pd.DataFrame(columns), target, sample_weight=weights).front_
    score = next(name for name in plain.columns if name.startswith("test."))
    assert plain[score].iloc[0] != heavy[score].iloc[0]


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([1.0, 2.0], "weights: expected a sample_weight for each of 160 rows, found shape"),
        (np.ones((ROWS, 2)), "weights: expected a sample_weight for each of 160 rows"),
        (np.full(ROWS, -1.0), "weights: expected finite weights, no weight below zero"),
        (np.zeros(ROWS), "not all of them zero"),
        (np.full(ROWS, np.nan), "expected finite weights"),
    ],
)
def test_weights_that_are_none_are_refused(weights: Any, complaint: str) -> None:
    columns, target = mixed(ROWS)
    with pytest.raises(ConfigError, match=complaint):
        small().fit(pd.DataFrame(columns), target, sample_weight=weights)


def _blind(estimator: Any, inputs: Any, target: Any) -> float:
    return float(-np.abs(estimator.predict(inputs) - target).mean())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"learner": KNeighborsRegressor()}, "learner: KNeighborsRegressor takes no sample_weight"),
        ({"metric": _blind}, "metric: '_blind' takes no sample_weight"),
    ],
)
def test_what_takes_no_weights_is_refused_where_there_are_some(options: dict[str, Any], complaint: str) -> None:
    columns, target = numbers(ROWS)
    with pytest.raises(ConfigError, match=complaint):
        small(**options).fit(pd.DataFrame(columns), target, sample_weight=np.arange(1.0, ROWS + 1))


def test_groups_and_weights_are_routed_through_a_pipeline_under_cross_validation() -> None:
    columns, target = mixed(ROWS)
    columns = {name: np.nan_to_num(column) for name, column in columns.items() if column.dtype.kind == "f"}
    groups, weights = np.arange(ROWS) % 16, np.arange(1.0, ROWS + 1)
    seen: list[tuple[Any, Any]] = []

    class Watched(EvolvedFeatures):
        def fit(self, X: Any, y: Any = None, groups: Any = None, sample_weight: Any = None) -> Any:  # noqa: N803  # scikit-learn's name
            seen.append((groups, sample_weight))
            return super().fit(X, y, groups, sample_weight)

        __init__ = EvolvedFeatures.__init__

    with sklearn.config_context(enable_metadata_routing=True):
        features = Watched(**small().get_params()).set_fit_request(groups=True, sample_weight=True)
        learner = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = cross_validate(
            make_pipeline(features, FunctionTransformer(np.nan_to_num), learner),
            pd.DataFrame(columns),
            target,
            cv=GroupKFold(2),
            params={"groups": groups, "sample_weight": weights},
        )
    assert len(found["test_score"]) == 2
    assert all(len(own) == len(counted) == ROWS // 2 for own, counted in seen)


def test_a_column_of_a_file_is_the_weights_and_no_feature(tmp_path: Path) -> None:
    columns, target = numbers(ROWS)
    counts = np.arange(1.0, ROWS + 1)
    when = np.arange(ROWS)[::-1]
    path = tmp_path / "rows.csv"
    pd.DataFrame({**columns, "y": target, "counts": counts, "when": when}).to_csv(path, index=False)
    data = read_table(Source(str(path), "y", time="when", weights="counts"))
    assert "counts" not in data.names
    np.testing.assert_allclose(data.weights, counts[::-1] / counts.mean())
    problem = FeatureSubset(data=str(path), target="y", weights="counts", references=[], folds=2)
    assert problem.task.table.weights is not None
    with pytest.raises(ConfigError, match=r"weights: there is no column 'count'.*'counts'"):
        read_table(Source(str(path), "y", weights="count"))
