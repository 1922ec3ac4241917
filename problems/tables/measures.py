"""What can be measured of a subset of columns and features, by name: the metric, counts, prices, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emoprune.contracts import Constraint, Direction, Objective, Sense
from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.formulas.formula import Term, sources
from emoprune.problems.tables.metrics import Metric
from emoprune.problems.tables.table import Table

__all__ = ["COSTS", "Measures"]

COSTS: Mapping[str, str] = {
    "columns": "inputs of the model, columns and generated features alike",
    "sources": "columns of the table that must be known to compute the inputs",
    "price": "what acquiring these costs, by `prices`, 1 for a column that has none",
    "milliseconds": "median time from the columns of one row to its prediction",
}


@dataclass(frozen=True, slots=True)
class Measures:
    """The metric first, then costs to make smaller; and at most how large some of them may be.

    A bound on a metric of which more is better is a bound from below.
    """

    metric: Metric
    costs: tuple[str, ...]
    prices: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.costs)) != len(self.costs):
            raise ConfigError(f"costs: expected each once, found {list(self.costs)}")
        for name in (*self.costs, *(each for each in self.at_most if each != self.metric.name)):
            if name not in COSTS:
                known = [self.metric.name, *COSTS]
                raise ConfigError(
                    f"no measure is called {name!r}{nearest(name, known)}; expected one of {', '.join(known)}"
                )
        wrong = {name: price for name, price in self.prices.items() if price < 0}
        if wrong:
            raise ConfigError(f"prices: expected numbers from 0 on, found {wrong}")

    def check_prices(self, table: Table) -> None:
        """Refuse prices of columns that there are none of.

        Raises:
            ConfigError: It says which one is meant.
        """
        for name in self.prices:
            if name not in table.names:
                raise ConfigError(f"prices: there is no column {name!r}{nearest(name, table.names)}")

    def objectives(self, most: Mapping[str, float]) -> tuple[Objective, ...]:
        """Return the objectives; `most` holds what each counted cost is at worst."""
        costs = (
            Objective(name, Direction.MINIMISE, "ms" if name == "milliseconds" else "", most.get(name) or None)
            for name in self.costs
        )
        return (self.metric.objective, *costs)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        found = []
        for name, bound in self.at_most.items():
            below = name == self.metric.name and self.metric.maximised
            found.append(Constraint(f"{name}-bound", bound, "", Sense.AT_LEAST if below else Sense.AT_MOST))
        return tuple(found)

    @property
    def timed(self) -> bool:
        """Whether a row takes measuring time."""
        return "milliseconds" in (*self.costs, *self.at_most)

    def counted(self, terms: Sequence[Term]) -> dict[str, float]:
        """Return the counted costs of inputs."""
        needed = sorted(frozenset().union(*(sources(term) for term in terms)))
        price = sum(self.prices.get(name, 1.0) for name in needed)
        return {"columns": float(len(terms)), "sources": float(len(needed)), "price": float(price)}

    def row(self, values: Mapping[str, float]) -> list[float]:
        """Return objectives and then what the constraints are held against."""
        return [values[name] for name in (self.metric.name, *self.costs, *self.at_most)]
