"""What is measured of a prompt, by name: objectives to make better and bounds to keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Constraint, Direction, Objective, Sense, number_of
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.objectives.contract import Measure, Needs, PerExample, Seen, needs
from emoprune.problems.prompts.options import Given, PromptOptions

__all__ = ["ACCURACY", "Measures", "measures_of"]

ACCURACY = "accuracy"
BOUND, FLOOR = "bound", "floor"  # what constraints are called after their measures
_LACKING: Mapping[Needs, str] = MappingProxyType(
    {
        "choices": "whose answers are not chosen, so that they have no probabilities",
        "classes": "whose answers are not of some classes",
        "costs": "whose answers have no price; give one as `price`, per million tokens",
    }
)
# Measured of every prompt, asked for or not, as far as its task has it.
ALWAYS = (ACCURACY, "balanced-accuracy", "reward", "cross-entropy", "entropy", "tokens")


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """All that is measured of a prompt: which are objectives, and which bounds hold; `unpruned` is the whole prompt.

    Raises:
        ConfigError: There is no objective, or one of them twice.
    """

    objective_names: tuple[str, ...]
    at_most: Mapping[str, float]
    at_least: Mapping[str, float]
    per_example: Mapping[str, PerExample]
    others: Mapping[str, Measure]
    unpruned: Seen

    def __post_init__(self) -> None:
        names = self.objective_names
        if len(names) < 1 or len(set(names)) != len(names):
            raise ConfigError(f"objectives: expected one or more, each once, found {list(names)}")

    def of(self, name: str) -> PerExample | Measure:
        """Return a measure."""
        return self.per_example[name] if name in self.per_example else self.others[name]

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured, what is known per example first."""
        return (*self.per_example, *self.others)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives; what is measured of the prompt alone is worst at the unpruned one."""
        return tuple(self._objective(name) for name in self.objective_names)

    def _objective(self, name: str) -> Objective:
        measure = self.of(name)
        worst: float | None = getattr(measure, "worst", None)
        if needs(measure) == "prompt" and measure.direction is Direction.MINIMISE:
            worst = self.of_prompt(self.unpruned)[name] or 1.0
        return Objective(name, measure.direction, measure.unit, worst)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        return tuple(
            Constraint(f"{name}-{word}", bound, self.of(name).unit, sense)
            for word, sense, bounds in (
                (BOUND, Sense.AT_MOST, self.at_most),
                (FLOOR, Sense.AT_LEAST, self.at_least),
            )
            for name, bound in bounds.items()
        )

    @property
    def noisy(self) -> tuple[str, ...]:
        """The objectives and constraints that are means over examples; none if one takes all answers together."""
        columns = [*zip(self.objective_names, self.objective_names, strict=True)]
        columns += [(f"{name}-{BOUND}", name) for name in self.at_most] + [
            (f"{name}-{FLOOR}", name) for name in self.at_least
        ]
        if any(name in self.others and needs(self.others[name]) != "prompt" for _, name in columns):
            return ()
        return tuple(column for column, name in columns if name in self.per_example)

    @property
    def quality(self) -> str:
        """The first objective that says how good answers are; accuracy if none does."""
        say = (name for name in self.objective_names if needs(self.of(name)) not in ("prompt", "costs"))
        return next(say, ACCURACY)

    def of_examples(self, seen: Seen) -> dict[str, NDArray[np.float64]]:
        """Return what is measured per example, shape (rows,) each."""
        rows, found = seen.answers.right.shape, {}
        for name, measure in self.per_example.items():
            given = measure(seen)
            try:
                found[name] = np.asarray(given, dtype=np.float64)
                told = str(found[name].shape)
            except (TypeError, ValueError):
                told = repr(given)[:40]
            if told != str(rows):
                raise ContractError(f"objective {name!r}: expected a number per example, shape {rows}, found {told}")
        return found

    def of_prompt(self, seen: Seen) -> dict[str, float]:
        """Return what is measured of the prompt alone, whatever it was put to."""
        return {name: number_of(name, each, seen) for name, each in self.others.items() if needs(each) == "prompt"}

    def of_answers(self, parts: Sequence[Seen]) -> dict[str, float]:
        """Return what is measured of all answers together, which are seen in parts, in order."""
        own = {name: measure for name, measure in self.others.items() if needs(measure) != "prompt"}
        if not own:
            return {}
        answers = parts[0].answers
        for part in parts[1:]:
            answers = answers.joined(part.answers)
        seen = Seen(parts[0].prompt, parts[0].tokens, answers)
        return {name: number_of(name, measure, seen) for name, measure in own.items()}

    def row(self, values: Mapping[str, float]) -> list[float]:
        """Return objectives and then what the constraints are held against, from the values of all measures."""
        return [values[name] for name in self._columns]

    def rows(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the same of several blocks, from values of shape (blocks,): shape (blocks, columns)."""
        return np.stack([values[name] for name in self._columns], axis=1)

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*self.objective_names, *self.at_most, *self.at_least)


def measures_of(options: PromptOptions, problem: str, *, known: Collection[Needs], unpruned: Seen) -> Measures:
    """Return what is measured, of what the options name.

    Args:
        options: Objectives and bounds, by name; a measure that is given by an import target is called by its attribute.
        problem: The name of the problem that asks.
        known: What is known of answers, such as the probabilities of choices.
        unpruned: The whole prompt, put to no example.

    Raises:
        ConfigError: A measure is unknown, its options are wrong, the task has no such, or two are called the same.
    """
    made = _Made(problem, known)
    for name in ALWAYS:
        made.add_if_possible(name)
    names = tuple(made.named("objectives", own) for own in options.objectives)
    at_most, at_least = (
        {made.named(option, own): bound for own, bound in (given or {}).items()}
        for option, given in (("at_most", options.bounds), ("at_least", options.at_least))
    )
    per_example = {name: own for name, own in made.measures.items() if isinstance(own, PerExample)}
    others = {name: own for name, own in made.measures.items() if not isinstance(own, PerExample)}
    return Measures(names, at_most, at_least, per_example, others, unpruned)


class _Made:
    """Measures by what they are called, and the names that they were found by."""

    def __init__(self, problem: str, known: Collection[Needs]) -> None:
        self._problem, self._known = problem, known
        self.measures: dict[str, PerExample | Measure] = {}
        self._names: dict[str, str] = {}

    def add_if_possible(self, name: str) -> None:
        """Make a measure, unless the task has no such."""
        measure = plugins.method("objective", name, self._problem)
        if self._has(measure):
            self.measures[name], self._names[name] = measure, name

    def _has(self, measure: object) -> bool:
        return needs(measure) in self._known

    def named(self, option: str, given: Given) -> str:
        """Make a measure, unless it is there already, and return what it is called."""
        name, own = plugins.named(option, given)
        called = name.rpartition(":")[2]
        if called not in self.measures or own:
            measure = plugins.method("objective", given, self._problem, option=option)
            if not self._has(measure):
                lacking = _LACKING.get(needs(measure), "which does not have what it needs")
                raise ConfigError(
                    f"{option}: {called!r} is no measure of this task, {lacking}; expected one of "
                    f"{', '.join(self.measures)}"
                )
            self.measures[called], self._names[called] = measure, name
        elif name not in (called, self._names[called]):
            raise ConfigError(
                f"{option}: {name!r} would be called {called!r}, as {self._names[called]!r} is; rename its class"
            )
        return called
