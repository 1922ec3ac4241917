"""Metrics, measures, learners and races."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.metrics import f1_score, make_scorer, matthews_corrcoef, recall_score
from tables_for_tests import mixed, numbers, table

from emoprune.contracts import Direction, Failure, Objective, Sense
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.learners.by_name import learner_plan
from emoprune.problems.tables.learners.contract import balanced_weights
from emoprune.problems.tables.learners.lightgbm import BoostedTrees, TreeOptions, parameters
from emoprune.problems.tables.objectives.contract import Seen
from emoprune.problems.tables.rows.splits import Block, Splits, split
from emoprune.problems.tables.scores.measures import Measures
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.subsets.features import FeaturesOptions
from emoprune.problems.tables.table import Task
from emoprune.problems.tables.task import TableTask


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_metrics_of_classes_are_scikit_learn_s(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(classes), rng.integers(0, classes, 20)]).astype(float)
    predictions = rng.dirichlet(np.ones(classes), len(target)).round(2) + 1e-3
    predictions /= predictions.sum(axis=1, keepdims=True)
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    labels = predictions.argmax(axis=1)
    expected = {
        "error": 1 - sk.accuracy_score(target, labels),
        "log_loss": sk.log_loss(target, predictions, labels=range(classes)),
        "balanced_accuracy": sk.balanced_accuracy_score(target, labels),
    }
    expected |= {"roc_auc": sk.roc_auc_score(target, predictions[:, 1])} if classes == 2 else {}
    expected |= {"roc_auc_ovr": sk.roc_auc_score(target, predictions, multi_class="ovr")} if classes > 2 else {}
    for name, value in expected.items():
        assert metric_named(name, task)(target, predictions) == pytest.approx(value), name


@given(st.integers(0, 10_000))
def test_metrics_of_numbers_are_scikit_learn_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, predictions = rng.normal(size=(2, 20))
    for name, value in {
        "auto": sk.root_mean_squared_error(target, predictions),
        "neg_mean_absolute_error": sk.mean_absolute_error(target, predictions),
        "r2": sk.r2_score(target, predictions),
    }.items():
        assert metric_named(name, Task.REGRESSION)(target, predictions) == pytest.approx(value)


def test_a_metric_has_its_natural_sign_and_says_which_way_is_better() -> None:
    assert metric_named("roc_auc", Task.BINARY).objective.direction is Direction.MAXIMISE
    assert metric_named("neg_log_loss", Task.BINARY).objective.name == "log_loss"
    assert metric_named("neg_log_loss", Task.BINARY).objective.direction is Direction.MINIMISE
    assert metric_named("error", Task.BINARY).loss(np.array([1.0]), np.array([[1.0, 0.0]])) == 1.0


def test_a_scorer_of_ones_own_is_a_metric_of_which_more_is_better() -> None:
    metric = metric_named("tables_for_tests:error", Task.BINARY)
    assert metric.objective == Objective("error", Direction.MAXIMISE)
    assert metric(np.array([1.0, 0.0]), np.array([[0.3, 0.7], [0.5, 0.5]])) == 0.5
    assert metric.loss(np.array([1.0]), np.array([[0.3, 0.7]])) == -1.0


@pytest.mark.parametrize(("label", "score"), [("no", 2 / 3), ("yes", 0.8)])
def test_a_scorer_names_the_positive_class_as_the_target_does(label: str, score: float) -> None:
    metric = metric_named(make_scorer(f1_score, pos_label=label), Task.BINARY, ("no", "yes"))
    target, taken = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 1, 1])
    assert metric(target, np.eye(2)[taken]) == pytest.approx(score)


@pytest.mark.parametrize("metric", ["f1", make_scorer(f1_score)])
@pytest.mark.parametrize(
    ("classes", "score"), [(("0", "1"), 0.8), (("-1", "1"), 0.8), (("1", "2"), 2 / 3), (("no", "yes"), 0.8)]
)
def test_the_class_1_is_the_positive_one_as_in_scikit_learn_and_else_the_last(
    metric: object, classes: tuple[str, str], score: float
) -> None:
    target, taken = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 1, 1])
    assert metric_named(metric, Task.BINARY, classes)(target, np.eye(2)[taken]) == pytest.approx(score)
    if classes[0] != "no":
        names = np.array(classes).astype(int)
        assert f1_score(names[target.astype(int)], names[taken]) == pytest.approx(score)


def test_a_scorer_without_a_name_of_its_own_is_a_metric() -> None:
    def distance(factor: float, estimator: Any, inputs: Any, target: Any) -> float:
        return -factor * float(np.abs(estimator.predict(inputs) - target).mean())

    for scorer, name in (
        (lambda estimator, inputs, target: distance(2.0, estimator, inputs, target), "lambda"),
        (partial(distance, 2.0), "partial"),
    ):
        metric = metric_named(scorer, Task.REGRESSION)
        assert metric.objective == Objective(name, Direction.MAXIMISE)
        assert metric(np.array([0.0, 1.0]), np.array([0.5, 1.0])) == -0.5


def test_the_correlation_of_matthews_is_known_by_its_function() -> None:
    metric = metric_named(matthews_corrcoef, Task.BINARY, ("no", "yes"))
    target, taken = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 1, 1])
    assert metric.maximised
    assert metric(target, np.eye(2)[taken]) == pytest.approx(matthews_corrcoef(target, taken))


@pytest.mark.filterwarnings("error")  # scikit-learn warns of a pos_label that an average over classes does not use
def test_a_scorer_of_some_classes_names_them_as_the_target_does() -> None:
    scorer = make_scorer(recall_score, labels=[7, 9], average="macro")
    metric = metric_named(scorer, Task.MULTICLASS, ("1", "7", "8", "9"))
    target, taken = np.array([0.0, 1.0, 1.0, 3.0]), np.array([1, 1, 0, 3])
    assert metric(target, np.eye(4)[taken]) == pytest.approx(0.75)


def test_a_scorer_of_a_class_that_the_target_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="its pos_label expects a class of the target, one of no, yes, found 'Yes'"):
        metric_named(make_scorer(f1_score, pos_label="Yes"), Task.BINARY, ("no", "yes"))


@pytest.mark.parametrize(
    ("name", "task", "complaint"),
    [
        ("tables_for_tests:scorer", Task.BINARY, "no class or function 'scorer'"),
        ("tables_for_tests:error", Task.REGRESSION, "'error' cannot judge a regression task"),
        ("acuracy", Task.BINARY, "no metric is called 'acuracy'.*'accuracy'"),
        ("roc_auc", Task.REGRESSION, "none for a regression task"),
        ("neg_mean_squared_error", Task.BINARY, "none for a binary task"),
        ("roc_auc", Task.MULTICLASS, "cannot judge a multiclass task|none for a multiclass task"),
    ],
)
def test_a_metric_that_cannot_judge_the_task_is_refused(name: str, task: Task, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        metric_named(name, task)


DATA = table(mixed())


def measures(*costs: Any, metric: str = "auto", **given: Any) -> Measures:
    return Measures.of(metric_named(metric, Task.BINARY), costs, "features", **given)


def test_costs_count_inputs_the_columns_behind_them_and_their_prices() -> None:
    made = Formula("divide", (Column("a"), Column("b")))
    taken = measures("columns", "sources", "price", shared={"prices": {"a": 5.0}})
    assert taken.counted(Seen(DATA, (made, Column("a")))) == {"columns": 2.0, "sources": 2.0, "price": 6.0}


def test_a_bound_on_a_metric_of_which_more_is_better_is_one_from_below() -> None:
    accuracy = measures("columns", metric="accuracy", at_most={"accuracy": 0.9, "columns": 5.0})
    assert [each.sense for each in accuracy.constraints] == [Sense.AT_LEAST, Sense.AT_MOST]
    assert accuracy.row({"accuracy": 0.8, "columns": 3.0}, "here") == [0.8, 3.0, 0.8, 3.0]
    assert accuracy.row({"accuracy": np.nan, "columns": 3.0}, "here") == Failure("accuracy is nan here")


@pytest.mark.parametrize(
    ("costs", "given", "complaint"),
    [
        (("columns", "columns"), {}, "costs: expected each once, found 'columns' again"),
        (("log_loss",), {}, "costs: expected each once, found 'log_loss' again"),
        (("colums",), {}, "costs: no objective is called 'colums'.*'columns'"),
        (("changes",), {}, "costs: 'changes' serves tabular-stream, not features"),
        ((), {"at_most": {"bites": 3}}, "at_most: no objective is called 'bites'.*the metric is called 'log_loss'"),
        ((), {"at_most": {"bytes": 3}}, "at_most: 'bytes' serves channels, .*, not features"),
        (("price",), {"shared": {"prices": {"a": -1.0}}}, "prices: expected numbers from 0 on"),
    ],
)
def test_measures_that_do_not_exist_are_refused(costs: Any, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        measures(*costs, **given)


def test_prices_of_columns_that_there_are_none_of_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"prices: there is no column 'siez'.*'size'"):
        TableTask(DATA, FeaturesOptions(data="mixed", prices={"siez": 2.0}))


LEARNERS = ["lightgbm", "logistic", "random-forest", "sklearn.neighbors:KNeighborsClassifier"]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_predicts_probabilities_with_gaps_and_categories_and_beats_guessing(name: str) -> None:
    data = table(mixed(400))
    computed, block = Computed(data), split(data, Splits()).test
    terms = (*data.terms, Formula("combine", (Column("city"), Column("colour"))))
    model = learner_plan(name, data.task).made(data.task, 1).fitted(computed, block, terms, 1)
    predictions = model.predict(computed.matrix(terms, block, block.scored))
    assert predictions.shape == (len(block.scored), 2)
    np.testing.assert_allclose(predictions.sum(axis=1), 1.0)
    assert metric_named("error", data.task)(data.target[block.scored], predictions) < 0.4
    assert model.importances.shape == (len(terms),)


@pytest.mark.parametrize("name", ["lightgbm", "ridge", "random-forest", "sklearn.tree:DecisionTreeRegressor"])
def test_every_learner_predicts_numbers_and_the_same_ones_again(name: str) -> None:
    data = table(numbers(300))
    computed, block = Computed(data), split(data, Splits()).test
    learner = learner_plan(name, data.task).made(data.task, 1)
    found = [
        learner.fitted(computed, block, data.terms, 7).predict(computed.matrix(data.terms, block, block.scored))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*found)
    score = metric_named("r2", data.task)(data.target[block.scored], found[0])
    assert score > 0.2


@pytest.mark.parametrize("wide", [400, 0])  # columns kept one by one, or binned all at once
def test_columns_binned_once_and_joined_give_the_trees_of_the_whole_matrix(
    wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emoprune.problems.tables.learners.lightgbm.WIDE", wide)
    data = table(mixed(300))
    computed, rows = Computed(data), np.arange(300)
    block, terms = Block("all", rows, rows), data.terms
    joined = BoostedTrees(TreeOptions()).fitted(computed, block, terms, 1)
    given_parameters = parameters(TreeOptions(), data, 300, 1, 1)
    matrix = computed.matrix(terms, block, rows)
    categories = [place for place, term in enumerate(terms) if computed.levels(term, block)]
    whole = lightgbm.Dataset(matrix, data.target, params=given_parameters, categorical_feature=categories)
    booster = lightgbm.Booster(given_parameters, whole.construct())
    for _ in range(TreeOptions().of_rows(300)[0]):
        booster.update()
    np.testing.assert_array_equal(joined.predict(matrix)[:, 1], booster.predict(matrix))


def test_a_subset_has_the_same_trees_whatever_was_trained_before() -> None:
    data = table(mixed())
    computed, block = Computed(data), split(data, Splits()).test
    learner = BoostedTrees(TreeOptions(), megabytes=0.01)  # hardly anything is kept
    other = BoostedTrees(TreeOptions())
    other.fitted(computed, block, data.terms, 0)
    for terms in (data.terms[:2], data.terms[1:], data.terms[:2]):
        inputs = computed.matrix(terms, block, block.scored)
        np.testing.assert_array_equal(
            learner.fitted(computed, block, terms, 0).predict(inputs),
            other.fitted(computed, block, terms, 0).predict(inputs),
        )


def test_trees_on_a_column_that_is_constant_in_a_fold_predict_the_mean() -> None:
    data = table(numbers())
    block = Block("first", np.arange(60), np.arange(60, 150))
    flat = table(({"x": np.where(np.arange(150) < 60, 1.0, np.arange(150.0))}, data.target))
    model = BoostedTrees(TreeOptions()).fitted(Computed(flat), block, flat.terms, 0)
    predictions = model.predict(np.ones((3, 1)))
    np.testing.assert_allclose(predictions, data.target[:60].mean(), rtol=1e-5)


def test_balanced_classes_have_equal_weights_and_predict_the_rare_one_more_often() -> None:
    columns, target = mixed(300)
    target[:200] = "no"
    data = table((columns, target))
    block = split(data, Splits()).test
    weights = balanced_weights(data, block)
    classes = data.target[block.train]
    assert weights[classes == 0].sum() == pytest.approx(weights[classes == 1].sum())
    computed = Computed(data)
    for name in ("lightgbm", "logistic"):
        shares = []
        for balanced in (False, True):
            learner = learner_plan({"name": name, "balanced": balanced}, data.task).made(data.task, 1)
            model = learner.fitted(computed, block, data.terms, 0)
            shares.append(model.predict(computed.matrix(data.terms, block, block.scored))[:, 1].mean())
        assert shares[1] > shares[0]


@pytest.mark.parametrize(
    ("given_learner", "complaint"),
    [
        ("lightgm", "no learner is called 'lightgm'.*'lightgbm'"),
        ({"trees": 3}, "expected a name, or a mapping with a name"),
        ({"name": "lightgbm", "tres": 3}, "does not take these options"),
        ({"name": "lightgbm", "trees": 0}, "trees: expected at least 1"),
        ({"name": "lightgbm", "rate": 2.0}, "rate: expected more than 0"),
        ({"name": "random-forest", "forests": 3}, "does not take these options"),
        ("sklearn.svm:NoSuchThing", "no class or function 'NoSuchThing'"),
    ],
)
def test_a_learner_that_cannot_be_made_is_refused_before_anything_is_trained(
    given_learner: object, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        learner_plan(given_learner, Task.BINARY)  # type: ignore[arg-type]


def test_a_classifier_without_probabilities_is_refused() -> None:
    data = table(mixed())
    learner = learner_plan("sklearn.linear_model:RidgeClassifier", data.task).made(data.task, 1)
    with pytest.raises(ConfigError, match="RidgeClassifier has no predict_proba"):
        learner.fitted(Computed(data), split(data, Splits()).test, data.terms, 0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"race": -1.0}, "race: expected 0"), ({"cache_megabytes": 0}, "cache_megabytes: expected at least 1")],
)
def test_options_out_of_range_are_refused(options: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        FeaturesOptions(data="mixed", **options)  # type: ignore[arg-type]
