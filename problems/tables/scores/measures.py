"""What is measured of a subset of columns and features: the metric, then objectives and bounds by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emoprune import plugins
from emoprune.contracts import Constraint, Direction, Failure, Measure, Objective, Row, Sense, number_of
from emoprune.errors import ConfigError
from emoprune.problems.tables.objectives.contract import Counted, Seen
from emoprune.problems.tables.scores.metrics import Metric

__all__ = ["Measures"]


@dataclass(frozen=True, slots=True)
class Measures:
    """The metric first, then costs; and at most how large some of them may be.

    A bound on a measure of which more is better is a bound from below.

    Args:
        metric: How good predictions are.
        costs: The names of the other objectives.
        at_most: Bounds by the names of measures.
        known: Measures by name: those that are counted anyway, the costs, and those that have a bound.
    """

    metric: Metric
    costs: tuple[str, ...]
    known: Mapping[str, Measure[Seen]]
    at_most: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        metric: Metric,
        costs: Sequence[str | Mapping[str, Any]],
        problem: str,
        *,
        at_most: Mapping[str, float] | None = None,
        counted: Sequence[str] = (),
        shared: Mapping[str, Any] | None = None,
    ) -> Measures:
        """Return the measures that a config names; one that is imported has the name of its class or function.

        Args:
            metric: How good predictions are.
            costs: Objectives by name or import target, or mappings of that and options.
            problem: The name of the problem that asks.
            at_most: Bounds on the metric, on costs, or on other objectives by name or import target.
            counted: The names of objectives that are counted whatever the costs are.
            shared: Options that the problem takes on behalf of objectives.

        Raises:
            ConfigError: There is no such objective, it does not serve the problem, is there twice, or an option is
                wrong.
        """
        known: dict[str, Measure[Seen]] = {
            name: plugins.method("objective", name, problem, shared=shared) for name in counted
        }
        names: list[str] = []
        for own in costs:
            name = _short(plugins.named("costs", own)[0])
            if name in (metric.name, *names):
                raise ConfigError(f"costs: expected each once, found {name!r} again")
            names.append(name)
            known[name] = plugins.method("objective", own, problem, option="costs", shared=shared)
        bounds = {_short(given): bound for given, bound in (at_most or {}).items()}
        for given in at_most or {}:
            if _short(given) not in (metric.name, *known):
                known[_short(given)] = _bounded(given, problem, metric, shared)
        return cls(metric, tuple(names), known, bounds)

    def objectives(self, whole: Seen) -> tuple[Objective, ...]:
        """Return the objectives; `whole` is all columns of the table, from which counted costs are worth measuring."""
        return (self.metric.objective, *(self._objective(name, whole) for name in self.costs))

    def _objective(self, name: str, whole: Seen) -> Objective:
        measure = self.known[name]
        worst = measure.worst(whole) if isinstance(measure, Counted) else None
        return Objective(name, measure.direction, measure.unit, worst or None)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        found = []
        for name, bound in self.at_most.items():
            sense = Sense.AT_LEAST if self._sign(name) < 0 else Sense.AT_MOST
            found.append(Constraint(f"{name}-bound", bound, "", sense))
        return tuple(found)

    @property
    def signs(self) -> dict[str, float]:
        """Each cost's name with 1 where less of it is better, -1 where more is."""
        return {name: self._sign(name) for name in self.costs}

    def _sign(self, name: str) -> float:
        maximised = self.metric.maximised if name == self.metric.name else _more_is_better(self.known[name])
        return -1.0 if maximised else 1.0

    @property
    def all_counted(self) -> bool:
        """Whether a row takes nothing but the metric that has to be measured."""
        return all(isinstance(measure, Counted) for measure in self.known.values())

    def counted(self, seen: Seen) -> dict[str, float]:
        """Return what can be told without a model."""
        return {name: number_of(name, each, seen) for name, each in self.known.items() if isinstance(each, Counted)}

    def measured(self, seen: Seen) -> dict[str, float]:
        """Return what can be told of a trained model alone."""
        return {name: number_of(name, each, seen) for name, each in self.known.items() if not isinstance(each, Counted)}

    def row(self, values: Mapping[str, float], of: str) -> Row:
        """Return objectives and then what the constraints are held against; a failure where one is no finite number.

        Args:
            values: What was counted and measured, by name.
            of: What they are of, as the reason of a failure says it.
        """
        row = [(name, values[name]) for name in (self.metric.name, *self.costs, *self.at_most)]
        wrong = [f"{name} is {value} {of}" for name, value in row if not math.isfinite(value)]
        return Failure(wrong[0]) if wrong else [value for _, value in row]


def _short(name: str) -> str:
    """Return what a front calls a measure: its name, or the attribute of an import target."""
    return name.rpartition(":")[2]


def _more_is_better(measure: Measure[Seen]) -> bool:
    return Direction(measure.direction) is Direction.MAXIMISE


def _bounded(given: str, problem: str, metric: Metric, shared: Mapping[str, Any] | None) -> Measure[Seen]:
    try:
        found: Measure[Seen] = plugins.method("objective", given, problem, option="at_most", shared=shared)
    except ConfigError as error:
        raise ConfigError(f"{error}; the metric is called {metric.name!r}") from error
    return found
