"""What is measured of a pruned network, by name: objectives to make better and bounds to keep."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from emoprune import plugins
from emoprune.contracts import Constraint, Failure, FloatArray, Link, Measure, Objective, Row, number_of
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.objectives.contract import COUNTS, Needs, Scored, Seen, link_of, needs
from emoprune.problems.networks.evaluation.objectives.error import Error
from emoprune.problems.networks.evaluation.objectives.kl import KL
from emoprune.problems.networks.evaluation.objectives.loss import Loss
from emoprune.problems.networks.evaluation.quality import Quality, says_quality
from emoprune.problems.storage.found_references import Methods, measuring

__all__ = ["COUNTED", "SHARE", "Given", "Measures", "scores_of"]

COUNTED = ("macs", "parameters", "bytes")  # from its widths or bits
SHARE = "-share"

Given = str | Mapping[str, Any]
Known = Mapping[str, Measure[Seen]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Which measures are objectives, and at most how large some may be.

    Bounds are by measure, or as `<measure>-share` in shares of the unpruned network's; `unpruned` holds its macs,
    parameters and bytes. `known` are the measures that may be asked for, `needed` those that a row takes.
    """

    objective_names: tuple[str, ...]
    at_most: Mapping[str, float]
    unpruned: Mapping[str, float]
    known: Known
    needed: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = self.objective_names
        if len(names) < 1 or len(set(names)) != len(names):
            raise ConfigError(f"objectives: expected one or more, each once, found {list(names)}")
        for name in names:
            self._check_known("objectives", name)
        for name, bound in self.at_most.items():
            self._check_known("at_most", name)
            if not bound > 0:
                raise ConfigError(f"at_most: {name}: expected a bound above 0, found {bound}")
        needed = frozenset(names) | {self._measure(name) for name in self.at_most}
        object.__setattr__(self, "needed", needed)

    def _check_known(self, option: str, name: str) -> None:
        shares = [f"{own}{SHARE}" for own, measure in self.known.items() if getattr(measure, "shares", False)]
        known = [*self.known, *(shares if option == "at_most" else ())]
        if name not in known:
            raise ConfigError(f"{option}: no measure is called {name!r}; expected one of {', '.join(known)}")

    @classmethod
    def of(
        cls, objectives: Sequence[Given], at_most: Mapping[str, float], unpruned: Mapping[str, float], problem: str
    ) -> Measures:
        """Return the measures that a config names; one that is imported is called as its class or function.

        Args:
            objectives: By name or import target, or mappings of that and options.
            at_most: Bounds by the names of measures, or by import target.
            unpruned: The unpruned network's macs, parameters and bytes.
            problem: The name of the problem that asks.

        Raises:
            ConfigError: There is no such measure, it does not serve the problem, or an option is wrong.
        """
        known: dict[str, Measure[Seen]] = {}
        sources: dict[str, str] = {}

        def made(option: str, given: Given) -> str:
            source, options = plugins.named(option, given)
            name = source.rpartition(":")[2]
            if name in known and source not in (name, sources[name]):
                raise ConfigError(f"{option}: {source!r} would be called {name!r}, as {sources[name]!r} is; rename it")
            if name not in known or options:
                known[name] = plugins.method("objective", given, problem, option=option)
                sources[name] = source
            return name

        names = tuple(made("objectives", given) for given in objectives)
        bounds = {
            made("at_most", given.removesuffix(SHARE)) + (SHARE if given.endswith(SHARE) else ""): bound
            for given, bound in at_most.items()
        }
        return cls(names, bounds, unpruned, known)

    def check_references(self, methods: Methods) -> None:
        """Refuse methods that pick from what was measured where no objective says how good a network is.

        Raises:
            ConfigError: It names the first of them.
        """
        names = measuring(methods)
        if names and self.quality is None:
            raise ConfigError(
                f"references: {names[0]!r} picks by how good outputs are, which none of the objectives "
                f"{', '.join(self.objective_names)} says; add error, loss or kl, or leave it out"
            )

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives; counted ones are worst at the unpruned network."""
        return tuple(
            Objective(name, self.known[name].direction, self.known[name].unit, self._worst(name))
            for name in self.objective_names
        )

    def _worst(self, name: str) -> float | None:
        worst: float | None = getattr(self.known[name], "worst", None)
        return self.counted(self.unpruned).get(name) if worst is None else min(worst, self.at_most.get(name, worst))

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        return tuple(Constraint(f"{name}-bound", bound, self._unit(name)) for name, bound in self.at_most.items())

    def _unit(self, name: str) -> str:
        return self.known[name].unit if name in self.known else "of unpruned"

    @property
    def quality(self) -> Quality | None:
        """The first objective that says how good a network is; None if none does."""
        own = next((name for name in self.objective_names if says_quality(self.known[name])), None)
        return None if own is None else Quality(own, self.known[own])

    def averaged(self, names: Collection[str]) -> dict[str, Link]:
        """Return how objectives and constraints follow from means over examples, by name; none if some others vary.

        Args:
            names: The measures whose parts, one for each example, can be had.
        """
        links = {name: link_of(self.known[name]) for name in self.needed if name in names}
        means = {name: link for name, link in links.items() if link is not None}
        others = [name for name in self.needed if name not in means and needs(self.known[name]) != COUNTS]
        if others or self.shared & means.keys():
            return {}
        bounds = {f"{name}-bound": means[name] for name in self.at_most if name in means}
        return {name: means[name] for name in self.objective_names if name in means} | bounds

    def need(self, *what: Needs) -> bool:
        """Whether some measure that a row takes needs one of these."""
        return any(needs(self.known[name]) in what for name in self.needed)

    def _measure(self, bound: str) -> str:
        return bound if bound in self.known else bound.removesuffix(SHARE)

    @property
    def shared(self) -> frozenset[str]:
        """The measures of which a share is bounded."""
        return frozenset(self._measure(name) for name in self.at_most if name not in self.known)

    @property
    def columns(self) -> list[str]:
        """What each value of a row is: a measure's name, or one that ends in `-share`."""
        return [*self.objective_names, *self.at_most]

    def counted(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Return the values of the measures that can be told from macs, parameters and bytes."""
        return {name: number_of(name, own, Seen(counts)) for name, own in self.known.items() if needs(own) == COUNTS}

    def values(self, seen: Seen) -> dict[str, float]:
        """Return the value of each measure that a row takes."""
        return {name: number_of(name, self.known[name], seen) for name in self.known if name in self.needed}

    def row(self, values: Mapping[str, float], unpruned: Mapping[str, float] | None = None) -> Row:
        """Return objectives and then what the constraints are held against; a failure where one is no finite number.

        Args:
            values: Of the needed measures.
            unpruned: The unpruned network's values of all measures of which a share is bounded; None where all of them
                are counted.
        """
        wrong = [f"{name} is {values[name]}" for name in self.needed if not math.isfinite(values[name])]
        if wrong:
            return Failure(min(wrong))
        whole = self.counted(self.unpruned) if unpruned is None else unpruned
        return [values[name] for name in self.objective_names] + [
            self._held(name, values, whole) for name in self.at_most
        ]

    def block_rows(self, counts: Mapping[str, float], averaged: Mapping[str, FloatArray]) -> FloatArray:
        """Return objectives and bounded values by block, shape (blocks, columns), of what is counted or averaged.

        Args:
            counts: Macs, parameters and bytes.
            averaged: Means over the examples of each block, shape (blocks,), of the measures that follow from such.
        """
        blocks = len(next(iter(averaged.values())))
        counted, whole = self.counted(counts), self.counted(self.unpruned)
        columns = [averaged.get(name, np.full(blocks, counted.get(name))) for name in self.objective_names]
        columns += [
            averaged[name] if name in averaged else np.full(blocks, self._held(name, counted, whole))
            for name in self.at_most
        ]
        return np.column_stack(columns).astype(np.float64)

    def _held(self, name: str, values: Mapping[str, float], unpruned: Mapping[str, float]) -> float:
        measure = self._measure(name)
        return values[measure] if measure == name else values[measure] / unpruned[measure]

    def reachable(self, smallest: Mapping[str, float]) -> list[dict[str, str | float | None]]:
        """Return for each bound the smallest value that any genome reaches, and whether the bound can be met.

        Args:
            smallest: The macs, parameters and bytes of the smallest genome.
        """
        values, whole = self.counted(smallest), self.counted(self.unpruned)
        rows: list[dict[str, str | float | None]] = []
        for name, bound in self.at_most.items():
            row: dict[str, str | float | None] = {"bound": name, "at most": bound, "smallest": None}
            if self._measure(name) in values:
                reached = self._held(name, values, whole)
                row |= {"smallest": reached, "can be met": "yes" if reached <= bound else "no"}
            else:
                row["can be met"] = "not known before measuring"
            rows.append(row)
        return rows

    def check_reachable(self, smallest: Mapping[str, float]) -> None:
        """Refuse bounds that the smallest genome of all does not meet.

        Raises:
            ConfigError: It says what can be reached.
        """
        missed = [row for row in self.reachable(smallest) if row["can be met"] == "no"]
        if missed:
            listed = "; ".join(
                f"{row['bound']} of at most {row['at most']:g}, where no genome reaches less than {row['smallest']:.4g}"
                for row in missed
            )
            raise ConfigError(f"at_most: no candidate can ever meet {listed}; raise the bound, or allow narrower ones")


def scores_of(
    outputs: torch.Tensor, labels: torch.Tensor, unpruned: torch.Tensor | None, names: frozenset[str]
) -> dict[str, float]:
    """Return error, loss and kl of outputs of shape (n, classes), those in `names`; `kl` needs the unpruned outputs."""
    seen = Seen({}, Scored(outputs, labels, unpruned))
    every: Known = {"error": Error(), "loss": Loss(), **({} if unpruned is None else {"kl": KL()})}
    return {name: own(seen) for name, own in every.items() if name in names}
