"""How good predictions are: by scikit-learn's names, in natural signs, or by a scorer of one's own."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Objective
from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.tables.splits import Parts
from emoprune.problems.tables.table import Table, Task

__all__ = ["Metric", "check_parts", "metric_named"]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

FloatArray = NDArray[np.float64]
Weights = FloatArray | None
Score = Callable[[FloatArray, FloatArray, Weights], float]  # of target, predictions (n,) or (n, classes), and weights


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of predictions under the name that people read: `neg_` is left out, and less is then better.

    Of a scorer that is imported, `scorer` is the import target, and more is better, as with all scorers. One that is
    given as an object is `given`; `less` says that what it negates is shown, of which less is better.
    """

    name: str
    task: Task
    scorer: str
    given: Any = None
    less: bool = False

    @property
    def maximised(self) -> bool:
        """Whether more is better."""
        return not self.less and self.scorer != "error" and not self.scorer.startswith("neg_")

    @property
    def objective(self) -> Objective:
        """The metric as an objective."""
        worst = {"error": 1.0, "accuracy": 0.0, "roc_auc": 0.0, "balanced_accuracy": 0.0, "f1": 0.0}.get(self.scorer)
        return Objective(self.name, Direction.MAXIMISE if self.maximised else Direction.MINIMISE, worst=worst)

    def __call__(self, target: FloatArray, predictions: FloatArray, weights: FloatArray | None = None) -> float:
        """Return the score of predictions: numbers, shape (n,), or probabilities of classes, shape (n, classes).

        With weights, shape (n,), rows count by them, as far as their sum is not 0.
        """
        if weights is not None and not weights.any():
            weights = None
        if self.given is not None:
            score = _judged(self.given, target, predictions, weights)
            return -score if self.less else score
        own = None if is_import_target(self.scorer) else _OWN.get(self.name)
        if self.name == "roc_auc" and (self.task is not Task.BINARY or weights is not None):
            own = None
        if own is not None:
            return own(target, predictions, weights)
        return _by_scorer(self.scorer, target, predictions, weights)

    def loss(self, target: FloatArray, predictions: FloatArray, weights: FloatArray | None = None) -> float:
        """Return the score as a number to make smaller."""
        score = self(target, predictions, weights)
        return -score if self.maximised else score


def metric_named(name: Any, task: Task) -> Metric:
    """Return a metric by scikit-learn's name, `error`, or the import target of a scorer, or of a scorer as an object.

    `auto` is the log loss, which suits rare classes as well, or the root of the mean squared error. A scorer is what
    scikit-learn's `make_scorer` makes: it is called with an estimator, inputs and the target; the estimator has made
    its predictions already, the inputs are blank, and classes are their places, from 0 on, in sorted order. A function
    of the target and predictions is taken for a loss if its name ends in _error or _loss, as scikit-learn's do, and for
    a score if it ends in _score.

    Raises:
        ConfigError: There is no such metric, or it is none for this task.
    """
    if not isinstance(name, str):
        metric = _of_object(name, task)
        _tried(metric)
        return metric
    if name == "auto":
        name = "root_mean_squared_error" if task is Task.REGRESSION else "log_loss"
    if is_import_target(name):
        find("metric", name)  # refused here, before anything is trained, if it cannot be imported
        metric = Metric(name.rpartition(":")[2], task, name)
    else:
        metric = Metric(name.removeprefix("neg_"), task, _scorer(name))
    _tried(metric)
    return metric


def _of_object(given: Any, task: Task) -> Metric:
    """Return the metric of a scorer, or of a function of the target and predictions."""
    if not callable(given):
        raise ConfigError(f"metric: expected a name, a scorer or a function of target and predictions, found {given!r}")
    is_scorer = hasattr(given, "_score_func") or len(_needed(given)) > 2
    scorer = given if is_scorer else _scorer_of(given)
    name = getattr(getattr(scorer, "_score_func", scorer), "__name__", type(scorer).__name__)
    return Metric(name, task, name, scorer, less=getattr(scorer, "_sign", 1) < 0)


def _needed(function: Any) -> list[str]:
    """Return the names of the arguments that a function cannot do without; a scorer has three of them."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind in POSITIONAL and each.default is inspect.Parameter.empty]


def _scorer_of(function: Any) -> Any:
    from sklearn.metrics import make_scorer

    name = getattr(function, "__name__", "")
    if not name.endswith(("_error", "_loss", "_score")):
        raise ConfigError(
            f"metric: {name or repr(function)} does not say whether more is better; give it as "
            "make_scorer(function, greater_is_better=...)"
        )
    second = [each.name for each in inspect.signature(function).parameters.values() if each.kind in POSITIONAL][1]
    of_probabilities = name == "log_loss" or second in ("y_score", "y_proba", "y_prob")
    response = "predict_proba" if of_probabilities else "predict"
    return make_scorer(function, greater_is_better=name.endswith("_score"), response_method=response)


def _scorer(name: str) -> str:
    if name == "error":
        return name
    from sklearn.metrics import get_scorer_names

    known = get_scorer_names()
    if name not in known and f"neg_{name}" not in known:
        raise ConfigError(f"metric: no metric is called {name!r}{nearest(name, ['error', 'auto', *known])}")
    return name if name in known else f"neg_{name}"


def _tried(metric: Metric) -> None:
    """Refuse a metric that cannot judge such predictions."""
    regression = metric.task is Task.REGRESSION
    count = 2 if metric.task is not Task.MULTICLASS else 3
    target = np.arange(2 * count, dtype=np.float64) % count
    target = target + 0.5 if regression else target  # no whole numbers, which metrics of classes would take for some
    predictions = target.copy() if regression else np.eye(count)[target.astype(np.int64)] * 0.8 + 0.2 / count
    of_others = (
        metric.given is None
        and metric.name in _OWN
        and not is_import_target(metric.scorer)
        and regression is not (metric.name in _OF_NUMBERS)
    )
    try:
        score = float("nan") if of_others else metric(target, predictions)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"metric: {metric.name!r} cannot judge a {metric.task} task: {error}") from error
    if not np.isfinite(score):
        raise ConfigError(f"metric: {metric.name!r} is none for a {metric.task} task; choose another one")


def check_parts(metric: Metric, table: Table, parts: Parts) -> None:
    """Refuse a metric that cannot judge the rows of a part because a class is not among them.

    Raises:
        ConfigError: It cannot; the message names the class with the fewest rows.
    """
    if table.weights is not None:
        _check_weighted(metric, table)
    if table.task is Task.REGRESSION:
        return
    counts = np.bincount(table.target.astype(np.int64), minlength=len(table.classes))
    blank = np.full((len(table), len(counts)), 1 / len(counts))
    for block in (*parts.folds, parts.select, parts.test):
        target = table.target[block.scored]
        if _judges(metric, target, blank[block.scored]):
            continue
        rarest = int(np.argmin(counts))
        raise ConfigError(
            f"metric: {metric.name!r} needs rows of every class in each part, and class {table.classes[rarest]!r} has "
            f"{counts[rarest]} rows in all; give more, ask for fewer folds, or choose another metric such as log_loss"
        )


def _check_weighted(metric: Metric, table: Table) -> None:
    classes = len(table.classes)
    predictions = np.eye(classes)[table.target.astype(np.int64)] if classes else table.target
    try:
        metric(table.target, predictions, table.weights)
    except TypeError as error:
        raise ConfigError(f"metric: {metric.name!r} takes no sample_weight ({error}); choose another one") from error


def _judges(metric: Metric, target: FloatArray, predictions: FloatArray) -> bool:
    if metric.name.startswith("roc_auc") and len(np.unique(target)) < predictions.shape[1]:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of a score that is not defined, and gives NaN
            return bool(np.isfinite(metric(target, predictions)))
    except ValueError:
        return False


def _error(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average(predictions.argmax(axis=1) != target, weights=weights))


def _log_loss(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    sure = np.clip(predictions[np.arange(len(target)), target.astype(np.int64)], np.finfo(np.float64).eps, 1.0)
    return float(np.average(-np.log(sure), weights=weights))


def _roc_auc(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:  # noqa: ARG001  # with weights scikit-learn's is taken
    """Return the share of pairs in the right order, ties counted half; 0.5 where a class has no rows."""
    scores, positive = predictions[:, 1], target == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return 0.5
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / pairs)


def _mean_squared(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average((target - predictions) ** 2, weights=weights))


def _root_mean_squared(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.sqrt(_mean_squared(target, predictions, weights)))


def _mean_absolute(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average(np.abs(target - predictions), weights=weights))


def _accuracy(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return 1.0 - _error(target, predictions, weights)


_OF_NUMBERS: Mapping[str, Score] = MappingProxyType(
    {
        "root_mean_squared_error": _root_mean_squared,
        "mean_squared_error": _mean_squared,
        "mean_absolute_error": _mean_absolute,
    }
)
_OWN: Mapping[str, Score] = MappingProxyType(
    {
        "error": _error,
        "accuracy": _accuracy,
        "log_loss": _log_loss,
        "roc_auc": _roc_auc,
        **_OF_NUMBERS,
    }
)


def _by_scorer(name: str, target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    """Let a scorer of that name or import target judge predictions that were made already."""
    from sklearn.metrics import get_scorer

    scorer = find("metric", name) if is_import_target(name) else get_scorer(name)
    score = _judged(scorer, target, predictions, weights)
    return -score if name.startswith("neg_") else score


def _judged(scorer: Any, target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    given = {} if weights is None else {"sample_weight": weights}
    return float(scorer(_given(predictions), np.zeros((len(target), 1)), target, **given))


def _given(predictions: FloatArray) -> Any:
    """Return an estimator that knows nothing but its predictions."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    if predictions.ndim == 1:

        class Numbers(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
            """Predicts what was predicted."""

            def fit(self) -> None:
                """Learn nothing."""

            def predict(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
                """Return the predictions."""
                return predictions

        return Numbers()

    class Classes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
        """Predicts what was predicted."""

        classes_ = np.arange(predictions.shape[1], dtype=np.float64)

        def fit(self) -> None:
            """Learn nothing."""

        def predict(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
            """Return the most probable class."""
            return np.asarray(self.classes_[predictions.argmax(axis=1)])

        def predict_proba(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
            """Return the probabilities."""
            return predictions

    return Classes()
