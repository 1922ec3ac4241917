"""What can be measured of a pruned network, by name: objectives to make better and bounds to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from emoprune.contracts import Constraint, Objective
from emoprune.errors import ConfigError

__all__ = ["COUNTED", "MEASURES", "SCORED", "SHARE", "SPREAD", "TIMED", "Measures", "scores_of"]

SCORED = ("error", "loss", "kl")  # from the network's outputs
COUNTED = ("macs", "parameters", "bytes")  # from its widths or bits
TIMED = ("milliseconds",)  # from running it
SPREAD = "milliseconds-spread"
WEIGHED = ("pq-index",)  # from its weights

MEASURES = {
    "error": "share of images whose highest output is not their label",
    "loss": "mean cross-entropy in nats",
    "kl": "mean Kullback-Leibler divergence from the unpruned network's probabilities in nats",
    "macs": "multiply-accumulates of convolutions and linear layers for one image",
    "parameters": "trained numbers",
    "bytes": "bytes of all weights and statistics as stored",
    "milliseconds": "median time for one batch on the worker's threads",
    SPREAD: "time between the quartiles of that; give it a high bound to have it recorded",
    "pq-index": "PQ index of the remaining weights, 0 where all are alike",
}
UNITS = {"loss": "nats", "kl": "nats", "bytes": "B", "milliseconds": "ms", SPREAD: "ms"}
SHARE = "-share"


@dataclass(frozen=True, slots=True)
class Measures:
    """Which measures are objectives, and at most how large some may be.

    Bounds are by measure, or as `<measure>-share` in shares of the unpruned network's; `unpruned` holds its values of
    all counted measures. `known` are the measures there are.
    """

    objective_names: tuple[str, ...]
    at_most: Mapping[str, float]
    unpruned: Mapping[str, float]
    known: Mapping[str, str] = field(default_factory=lambda: MEASURES)

    def __post_init__(self) -> None:
        names = self.objective_names
        if len(names) < 1 or len(set(names)) != len(names):
            raise ConfigError(f"objectives: expected one or more, each once, found {list(names)}")
        for name in names:
            _check_known("objectives", name, self.known)
        for name, bound in self.at_most.items():
            _check_known("at_most", name, [*self.known, *(f"{counted}{SHARE}" for counted in (*COUNTED, *TIMED))])
            if not bound > 0:
                raise ConfigError(f"at_most: {name}: expected a bound above 0, found {bound}")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives, all to be minimised; counted ones are worst at the unpruned network."""
        return tuple(
            Objective(name, unit=UNITS.get(name, ""), worst=self._worst(name)) for name in self.objective_names
        )

    def _worst(self, name: str) -> float | None:
        if name == "error":
            return min(1.0, self.at_most.get("error", 1.0))
        return self.unpruned.get(name)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds as constraints, named after their measures."""
        return tuple(
            Constraint(f"{name}-bound", bound, UNITS.get(name, "of unpruned" if name.endswith(SHARE) else ""))
            for name, bound in self.at_most.items()
        )

    @property
    def quality(self) -> Literal["error", "loss", "kl"]:
        """The first objective that says how good the outputs are; the error if none does."""
        scored: tuple[Literal["error", "loss", "kl"], ...] = ("error", "loss", "kl")
        return next((own for name in self.objective_names for own in scored if own == name), "error")

    @property
    def needed(self) -> frozenset[str]:
        """The measures that a row takes."""
        return frozenset(self.objective_names) | {name.removesuffix(SHARE) for name in self.at_most}

    @property
    def columns(self) -> list[str]:
        """What each value of a row is: a measure's name, or one that ends in `-share`."""
        return [*self.objective_names, *self.at_most]

    def row(self, values: Mapping[str, float], unpruned: Mapping[str, float] | None = None) -> list[float]:
        """Return objectives and then what the constraints are held against.

        Args:
            values: Of the needed measures.
            unpruned: The unpruned network's values of all measures of which a share is bounded; None where all of them
                are counted.
        """
        whole = self.unpruned if unpruned is None else unpruned
        return [values[name] for name in self.objective_names] + [_held(name, values, whole) for name in self.at_most]

    def reachable(self, smallest: Mapping[str, float]) -> list[dict[str, str | float | None]]:
        """Return for each bound the smallest value that any genome reaches, and whether the bound can be met."""
        rows: list[dict[str, str | float | None]] = []
        for name, bound in self.at_most.items():
            measure = name.removesuffix(SHARE)
            row: dict[str, str | float | None] = {"bound": name, "at most": bound, "smallest": None}
            if measure in COUNTED:
                reached = _held(name, smallest, self.unpruned)
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


def _held(name: str, values: Mapping[str, float], unpruned: Mapping[str, float]) -> float:
    measure = name.removesuffix(SHARE)
    return values[measure] / unpruned[measure] if name.endswith(SHARE) else values[measure]


def _check_known(option: str, name: str, known: Sequence[str] | Mapping[str, str]) -> None:
    if name not in known:
        raise ConfigError(f"{option}: no measure is called {name!r}; expected one of {', '.join(known)}")


def scores_of(
    outputs: torch.Tensor, labels: torch.Tensor, unpruned: torch.Tensor | None, names: frozenset[str]
) -> dict[str, float]:
    """Return the measures among `names` that outputs of shape (n, classes) give; `kl` needs the unpruned outputs."""
    values = {}
    if "error" in names:
        values["error"] = int((outputs.argmax(dim=1) != labels).sum()) / len(labels)
    if "loss" in names:
        values["loss"] = float(nn.functional.cross_entropy(outputs.double(), labels))
    if "kl" in names and unpruned is not None:
        own, other = (nn.functional.log_softmax(each.double(), dim=1) for each in (outputs, unpruned))
        values["kl"] = max(0.0, float((other.exp() * (other - own)).sum(dim=1).mean()))
    return values
