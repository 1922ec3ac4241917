"""How good predictions are: by scikit-learn's names, in natural signs, or by a scorer of one's own."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Objective
from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.tables.rows.splits import Parts
from emoprune.problems.tables.scores.scorers import by_scorer, judged, needed, of_places, positive_class, scorer_of
from emoprune.problems.tables.scores.written_out import OF_NUMBERS, WRITTEN_OUT
from emoprune.problems.tables.table import Table, Task

__all__ = ["Metric", "check_parts", "metric_named"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of predictions under the name that people read: `neg_` is left out, and less is then better.

    Of a scorer that is imported, `scorer` is the import target, and more is better, as with all scorers. One that is
    given as an object is `given`; `less` says that what it negates is shown, of which less is better. `positive` is the
    class that counts as the positive one though nobody named it.
    """

    name: str
    task: Task
    scorer: str
    given: Any = None
    less: bool = False
    positive: str = ""

    @property
    def maximised(self) -> bool:
        """Whether more is better."""
        return not self.less and self.scorer != "error" and not self.scorer.startswith("neg_")

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of it."""
        if not self.positive:
            return ()
        said = f"{self.name} takes {self.positive!r} for the positive class, the last of the two by name"
        return (f"{said}; for the other one give a scorer with its name as pos_label.",)

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
            score = judged(self.given, target, predictions, weights)
            return -score if self.less else score
        own = None if is_import_target(self.scorer) else WRITTEN_OUT.get(self.name)
        if self.name == "roc_auc" and (self.task is not Task.BINARY or weights is not None):
            own = None
        if own is not None:
            return own(target, predictions, weights)
        return by_scorer(self.scorer, target, predictions, weights)

    def loss(self, target: FloatArray, predictions: FloatArray, weights: FloatArray | None = None) -> float:
        """Return the score as a number to make smaller."""
        score = self(target, predictions, weights)
        return -score if self.maximised else score


def metric_named(name: Any, task: Task, classes: Sequence[str] = ()) -> Metric:
    """Return a metric by scikit-learn's name, `error`, or the import target of a scorer, or of a scorer as an object.

    `auto` is the log loss, which suits rare classes as well, or the root of the mean squared error. A scorer is what
    scikit-learn's `make_scorer` makes: it is called with an estimator, inputs and the target; the estimator has made
    its predictions already, the inputs are blank, and classes are their places, from 0 on, in sorted order. Its options
    `pos_label` and `labels` name classes as the target does: `classes` are all of them, sorted. Where a target has no
    class that a metric such as f1 takes for the positive one, which is 1, that is the last of two. A function of target
    and predictions is taken for a loss if its name ends in _error or _loss, as scikit-learn's do, and for a score if
    it ends in _score.

    Raises:
        ConfigError: There is no such metric, or it is none for this task.
    """
    if not isinstance(name, str):
        metric = _of_object(name, task, classes)
        _tried(metric, len(classes))
        return metric
    if name == "auto":
        name = "root_mean_squared_error" if task is Task.REGRESSION else "log_loss"
    if is_import_target(name):
        found = find("metric", name)  # refused here, before anything is trained, if it cannot be imported
        placed = of_places(found, classes)
        given = None if placed is found else placed
        metric = Metric(name.rpartition(":")[2], task, name, given, positive=positive_class(found, classes))
    else:
        metric = _of_name(_scorer(name), task, classes)
    _tried(metric, len(classes))
    return metric


def _of_object(given: Any, task: Task, classes: Sequence[str]) -> Metric:
    """Return the metric of a scorer, or of a function of the target and predictions."""
    if not callable(given):
        raise ConfigError(f"metric: expected a name, a scorer or a function of target and predictions, found {given!r}")
    is_scorer = hasattr(given, "_score_func") or len(needed(given)) > 2
    scorer = given if is_scorer else scorer_of(given)
    called = getattr(getattr(scorer, "_score_func", scorer), "__name__", type(scorer).__name__)
    name = re.sub(r"[^A-Za-z0-9_-]", "", called)  # of a lambda there is no name that a column could have
    less, positive = getattr(scorer, "_sign", 1) < 0, positive_class(scorer, classes)
    return Metric(name, task, name, of_places(scorer, classes), less, positive)


def _of_name(name: str, task: Task, classes: Sequence[str]) -> Metric:
    """Return the metric of scikit-learn's name, with its scorer where that has to be told what is positive."""
    from sklearn.metrics import get_scorer

    scorer = None if name == "error" else get_scorer(name)
    placed = of_places(scorer, classes)
    given = None if placed is scorer else placed
    return Metric(name.removeprefix("neg_"), task, name, given, positive=positive_class(scorer, classes))


def _scorer(name: str) -> str:
    if name == "error":
        return name
    from sklearn.metrics import get_scorer_names

    known = get_scorer_names()
    if name not in known and f"neg_{name}" not in known:
        raise ConfigError(f"metric: no metric is called {name!r}{nearest(name, ['error', 'auto', *known])}")
    return name if name in known else f"neg_{name}"


def _tried(metric: Metric, classes: int) -> None:
    """Refuse a metric that cannot judge such predictions."""
    regression = metric.task is Task.REGRESSION
    count = max(classes, 2 if metric.task is not Task.MULTICLASS else 3)
    target = np.arange(2 * count, dtype=np.float64) % count
    target = target + 0.5 if regression else target  # no whole numbers, which metrics of classes would take for some
    predictions = target.copy() if regression else np.eye(count)[target.astype(np.int64)] * 0.8 + 0.2 / count
    of_others = (
        metric.given is None
        and metric.name in WRITTEN_OUT
        and not is_import_target(metric.scorer)
        and regression is not (metric.name in OF_NUMBERS)
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
