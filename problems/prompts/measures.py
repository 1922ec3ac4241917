"""What can be measured of a prompt, by name: objectives to make better and bounds to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emoprune.contracts import Constraint, Direction, Objective, Sense
from emoprune.errors import ConfigError
from emoprune.plugins import nearest

__all__ = ["MEASURES", "TOKENS", "Measure", "Measures"]

TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Measure:
    """A number per example whose mean is reported: what it says, its direction, its best and worst per example."""

    says: str
    direction: Direction
    best: float = 0.0
    worst: float | None = None
    unit: str = ""


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "accuracy": Measure("share of examples that are answered rightly", Direction.MAXIMISE, 1.0, 0.0),
        "balanced-accuracy": Measure(
            "mean over the classes of the share answered rightly", Direction.MAXIMISE, 1.0, 0.0
        ),
        "reward": Measure(
            "mean gap between the right answer's probability and the best wrong one's, times 200, or 180 below 0",
            Direction.MAXIMISE,
            200.0,
            -180.0,
        ),
        "cross-entropy": Measure(
            "mean surprise at the right answer among the choices", Direction.MINIMISE, unit="nats"
        ),
        "entropy": Measure("mean uncertainty about the choices", Direction.MINIMISE, unit="nats"),
    }
)


@dataclass(frozen=True, slots=True)
class Measures:
    """Which measures are objectives, and which bounds hold; `longest` is how many tokens the unpruned prompt has."""

    objective_names: tuple[str, ...]
    at_most: Mapping[str, float]
    at_least: Mapping[str, float]
    available: Sequence[str]
    longest: float

    def __post_init__(self) -> None:
        names = self.objective_names
        if len(names) < 1 or len(set(names)) != len(names):
            raise ConfigError(f"objectives: expected one or more, each once, found {list(names)}")
        for option, given in (("objectives", names), ("at_most", self.at_most), ("at_least", self.at_least)):
            for name in given:
                self._check_known(option, name)

    def _check_known(self, option: str, name: str) -> None:
        known = [*self.available, TOKENS]
        if name not in known:
            raise ConfigError(
                f"{option}: no measure of this task is called {name!r}; expected one of {', '.join(known)}"
                f"{nearest(name, known)}"
            )

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives; the number of tokens is worst at the unpruned prompt."""
        return tuple(self._objective(name) for name in self.objective_names)

    def _objective(self, name: str) -> Objective:
        if name == TOKENS:
            return Objective(TOKENS, worst=max(1.0, self.longest))
        measure = MEASURES[name]
        return Objective(name, measure.direction, measure.unit, measure.worst)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        return tuple(
            Constraint(f"{name}-{word}", bound, MEASURES[name].unit if name in MEASURES else "", sense)
            for word, sense, bounds in (
                ("bound", Sense.AT_MOST, self.at_most),
                ("floor", Sense.AT_LEAST, self.at_least),
            )
            for name, bound in bounds.items()
        )

    @property
    def needed(self) -> tuple[str, ...]:
        """The measures of answers that a row takes, each once."""
        names = dict.fromkeys([*self.objective_names, *self.at_most, *self.at_least])
        return tuple(name for name in names if name != TOKENS)

    def row(self, values: Mapping[str, float]) -> list[float]:
        """Return objectives and then what the constraints are held against, from the values of the needed measures."""
        return [values[name] for name in (*self.objective_names, *self.at_most, *self.at_least)]
