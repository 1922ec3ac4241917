"""Learners by name, with their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.learners.contract import Learner
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Task

__all__ = ["LEARNERS", "LearnerPlan", "learner_plan"]

LEARNERS = ("lightgbm", "linear", "random-forest")


@dataclass(frozen=True, slots=True)
class LearnerPlan:
    """A learner's name and options, checked, made once per worker; or an estimator, cloned for each training."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    estimator: Any = None

    @property
    def open(self) -> bool:
        """Whether it has options that are chosen on the table: of trees, unless their number is given."""
        return self.name == "lightgbm" and "trees" not in self.options

    def closed(self, computed: Computed, folds: Sequence[Block]) -> LearnerPlan:
        """Return the plan with these options chosen: on all columns, by the loss over folds."""
        from emoprune.problems.tables.learners.tuning import tuned_trees

        return LearnerPlan(self.name, {**self.options, **tuned_trees(computed, folds, self.options)})

    def settings(self, given: LearnerPlan) -> tuple[LearnerPlan, ...]:
        """Return the closed plan as a way is judged with it, the best of them counting: more columns may want others.

        Args:
            given: The plan as it was before it was closed.
        """
        from emoprune.problems.tables.learners.tuning import FOR_MORE

        others = {name: value for name, value in FOR_MORE.items() if name not in given.options}
        return (self, LearnerPlan(self.name, {**self.options, **others})) if given.open and others else (self,)

    def made(self, task: Task, threads: int, megabytes: float = 256.0) -> Learner:
        """Return the learner.

        Raises:
            ConfigError: It cannot be made from its options.
        """
        if self.estimator is not None:
            from emoprune.problems.tables.learners.estimators import EstimatorLearner

            return EstimatorLearner(_cloner(self.estimator), balanced=False)
        try:
            if self.name == "lightgbm":
                from emoprune.problems.tables.learners.lightgbm import BoostedTrees, TreeOptions

                return BoostedTrees(TreeOptions(**self.options), threads, megabytes)
            from emoprune.problems.tables.learners.estimators import EstimatorLearner

            options = dict(self.options)
            balanced = bool(options.pop("balanced", False))
            return EstimatorLearner(_maker(self.name, task, options, threads), balanced=balanced)
        except TypeError as error:
            raise ConfigError(f"learner: {self.name!r} does not take these options: {error}") from error


def learner_plan(given: Any, task: Task) -> LearnerPlan:
    """Return the plan of a learner given by its name, by a mapping of its name and options, or as an estimator.

    Raises:
        ConfigError: There is no such learner, it does not take these options, or it is for another task.
    """
    if hasattr(given, "fit"):
        return _of_estimator(given, task)
    if not isinstance(given, str | Mapping):
        raise ConfigError(
            f"learner: expected a name, a mapping with a name and options, or an estimator, found {given!r}"
        )
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"learner: expected a name, or a mapping with a name and options, found {given!r}")
    name = {"logistic": "linear", "ridge": "linear"}.get(name, name)
    if name not in LEARNERS and not is_import_target(name):
        raise ConfigError(
            f"learner: no learner is called {name!r}, and it is no import target such as "
            f"sklearn.neighbors:KNeighborsClassifier{nearest(name, (*LEARNERS, 'logistic', 'ridge'))}"
        )
    plan = LearnerPlan(name, MappingProxyType(options))
    plan.made(task, 1)
    return LearnerPlan(name, options)


def _of_estimator(given: Any, task: Task) -> LearnerPlan:
    from sklearn.base import is_classifier, is_regressor

    if isinstance(given, type) or not hasattr(given, "get_params") or not hasattr(given, "predict"):
        raise ConfigError(f"learner: expected an estimator with get_params, fit and predict, found {given!r}; make one")
    wrong = is_classifier(given) if task is Task.REGRESSION else is_regressor(given)
    if wrong:
        raise ConfigError(f"learner: {type(given).__name__} is not for a {task} task; give another one")
    return LearnerPlan(type(given).__name__, estimator=given)


def _cloner(estimator: Any) -> Callable[[int], Any]:
    """Return a function from a seed to an estimator like this one, seeded where it is random and has no seed."""
    from sklearn.base import clone

    unseeded = [
        name
        for name, value in estimator.get_params().items()
        if value is None and name.rpartition("__")[2] == "random_state"
    ]

    def make(seed: int) -> Any:
        return clone(estimator).set_params(**dict.fromkeys(unseeded, seed % 2**31))

    return make


def _maker(name: str, task: Task, options: Mapping[str, Any], threads: int) -> Callable[[int], Any]:
    """Return a function from a seed to a new estimator; it was called once, to see that the options are right."""
    factory, defaults = _factory(name, task, threads)
    parameters = inspect.signature(factory).parameters

    def make(seed: int) -> Any:
        seeded = {"random_state": seed % 2**31} if "random_state" in parameters else {}
        return factory(**{**seeded, **defaults, **options})

    make(0)
    return make


def _factory(name: str, task: Task, threads: int) -> tuple[Callable[..., Any], dict[str, Any]]:
    if is_import_target(name):
        return find("learner", name), {}
    if name == "linear":
        from sklearn.linear_model import LogisticRegression, Ridge

        return (Ridge, {}) if task is Task.REGRESSION else (LogisticRegression, {"max_iter": 1000})
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    forest = RandomForestRegressor if task is Task.REGRESSION else RandomForestClassifier
    return forest, {"n_estimators": 100, "n_jobs": threads}
