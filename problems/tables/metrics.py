"""How good predictions are: by scikit-learn's names, in natural signs, or by a scorer of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Objective
from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.tables.table import Task

__all__ = ["Metric", "metric_named"]

FloatArray = NDArray[np.float64]
Score = Callable[[FloatArray, FloatArray], float]  # target and predictions, shape (n,) or (n, classes), to a number


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of predictions under the name that people read: `neg_` is left out, and less is then better.

    Of a scorer that is imported, `scorer` is the import target, and more is better, as with all scorers.
    """

    name: str
    task: Task
    scorer: str

    @property
    def maximised(self) -> bool:
        """Whether more is better."""
        return self.scorer != "error" and not self.scorer.startswith("neg_")

    @property
    def objective(self) -> Objective:
        """The metric as an objective."""
        worst = {"error": 1.0, "accuracy": 0.0, "roc_auc": 0.0, "balanced_accuracy": 0.0, "f1": 0.0}.get(self.scorer)
        return Objective(self.name, Direction.MAXIMISE if self.maximised else Direction.MINIMISE, worst=worst)

    def __call__(self, target: FloatArray, predictions: FloatArray) -> float:
        """Return the score of predictions: numbers, shape (n,), or probabilities of classes, shape (n, classes)."""
        own = None if is_import_target(self.scorer) else _OWN.get(self.name)
        if own is not None and (self.name != "roc_auc" or self.task is Task.BINARY):
            return own(target, predictions)
        return _by_scorer(self.scorer, target, predictions)

    def loss(self, target: FloatArray, predictions: FloatArray) -> float:
        """Return the score as a number to make smaller."""
        score = self(target, predictions)
        return -score if self.maximised else score


def metric_named(name: str, task: Task) -> Metric:
    """Return a metric by scikit-learn's name, `error`, or the import target of a scorer.

    `auto` is the log loss, which suits rare classes as well, or the root of the mean squared error. A scorer is what
    scikit-learn's `make_scorer` makes: it is called with an estimator, inputs and the target; the estimator has made
    its predictions already, and the inputs are blank.

    Raises:
        ConfigError: There is no such metric, or it is none for this task.
    """
    if name == "auto":
        name = "root_mean_squared_error" if task is Task.REGRESSION else "log_loss"
    if is_import_target(name):
        find("metric", name)  # refused here, before anything is trained, if it cannot be imported
        metric = Metric(name.rpartition(":")[2], task, name)
    else:
        metric = Metric(name.removeprefix("neg_"), task, _scorer(name))
    _tried(metric)
    return metric


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
    predictions = target.copy() if regression else np.eye(count)[target.astype(np.int64)] * 0.8 + 0.2 / count
    of_others = (
        metric.name in _OWN and not is_import_target(metric.scorer) and regression is not (metric.name in _OF_NUMBERS)
    )
    try:
        score = float("nan") if of_others else metric(target, predictions)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"metric: {metric.name!r} cannot judge a {metric.task} task: {error}") from error
    if not np.isfinite(score):
        raise ConfigError(f"metric: {metric.name!r} is none for a {metric.task} task; choose another one")


def _error(target: FloatArray, predictions: FloatArray) -> float:
    return float((predictions.argmax(axis=1) != target).mean())


def _log_loss(target: FloatArray, predictions: FloatArray) -> float:
    sure = np.clip(predictions[np.arange(len(target)), target.astype(np.int64)], np.finfo(np.float64).eps, 1.0)
    return float(-np.log(sure).mean())


def _roc_auc(target: FloatArray, predictions: FloatArray) -> float:
    """Return the share of pairs in the right order, ties counted half; 0.5 where a class has no rows."""
    scores, positive = predictions[:, 1], target == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return 0.5
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / pairs)


def _mean_squared(target: FloatArray, predictions: FloatArray) -> float:
    return float(np.mean((target - predictions) ** 2))


_OF_NUMBERS: Mapping[str, Score] = MappingProxyType(
    {
        "root_mean_squared_error": lambda target, predictions: float(np.sqrt(_mean_squared(target, predictions))),
        "mean_squared_error": _mean_squared,
        "mean_absolute_error": lambda target, predictions: float(np.abs(target - predictions).mean()),
    }
)
_OWN: Mapping[str, Score] = MappingProxyType(
    {
        "error": _error,
        "accuracy": lambda target, predictions: 1.0 - _error(target, predictions),
        "log_loss": _log_loss,
        "roc_auc": _roc_auc,
        **_OF_NUMBERS,
    }
)


def _by_scorer(name: str, target: FloatArray, predictions: FloatArray) -> float:
    """Let a scorer of that name or import target judge predictions that were made already."""
    from sklearn.metrics import get_scorer

    scorer = find("metric", name) if is_import_target(name) else get_scorer(name)
    score = float(scorer(_given(predictions), np.zeros((len(target), 1)), target))
    return -score if name.startswith("neg_") else score


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
