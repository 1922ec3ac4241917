"""What a plug-in promises: problems, operators, objectives, constraints.

A problem or operator need not inherit from anything here; it only has to have these members. Check one with
`emoprune.testing`. What a problem may offer besides is written in `emoprune/offers.py`, and found here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError
from emoprune.offers import (
    Alarming,
    Audit,
    Audited,
    Cell,
    Checking,
    Combining,
    Description,
    Exporting,
    Finding,
    Inspected,
    Inspection,
    Marked,
    Passage,
    Recovered,
    Recovering,
    Table,
)
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = [
    "LARGEST",
    "Alarming",
    "Audit",
    "Audited",
    "Canonical",
    "Cell",
    "Checking",
    "Combining",
    "Constrained",
    "Constraint",
    "Crossover",
    "Description",
    "Direction",
    "Exporting",
    "Failure",
    "Finding",
    "Fingerprinted",
    "Inspected",
    "Inspection",
    "Marked",
    "Mutation",
    "Objective",
    "Passage",
    "Prepared",
    "Problem",
    "Recovered",
    "Recovering",
    "Reference",
    "Repair",
    "Row",
    "Rows",
    "Sampling",
    "Seeding",
    "Sense",
    "Split",
    "Table",
    "as_minimised",
    "constraints_of",
    "violations",
]

FloatArray = NDArray[np.float64]
SeedArray = NDArray[np.uint64]

# The largest magnitude of a number that can be ranked: of two such, differences, squares and the products that a
# hypervolume is made of stay finite. What a problem measures beyond it is a failed evaluation, as an infinity is.
LARGEST = 1e100


class Direction(StrEnum):
    """Whether less or more of an objective is better."""

    MINIMISE = "minimise"
    MAXIMISE = "maximise"


class Sense(StrEnum):
    """On which side of its bound a constraint's value must lie."""

    AT_MOST = "at-most"
    AT_LEAST = "at-least"


@dataclass(frozen=True, slots=True)
class Objective:
    """A number to make better: its name, direction and unit, and optionally the `worst` value worth measuring from.

    `worst` (an error of 1.0, the unpruned cost) becomes this objective's part of the hypervolume's reference point;
    without it the point comes from the references.
    """

    name: str
    direction: Direction = Direction.MINIMISE
    unit: str = ""
    worst: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", Direction(self.direction))
        _check_name(self.name)
        if self.worst is not None and not abs(self.worst) <= LARGEST:
            raise ContractError(f"objective {self.name!r}: worst must be within {LARGEST:g}, found {self.worst}")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A number that must stay on one side of a bound, in natural units."""

    name: str
    bound: float
    unit: str = ""
    sense: Sense = Sense.AT_MOST

    def __post_init__(self) -> None:
        object.__setattr__(self, "sense", Sense(self.sense))
        _check_name(self.name)
        if not abs(self.bound) <= LARGEST:
            raise ContractError(f"constraint {self.name!r}: the bound must be within {LARGEST:g}, found {self.bound}")


def _check_name(name: str) -> None:
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise ContractError(f"expected a name of letters, digits, - and _, found {name!r}")


@dataclass(frozen=True, slots=True)
class Failure:
    """What `Problem.evaluate` returns in a genome's place when it cannot be measured, with the reason."""

    reason: str

    def __post_init__(self) -> None:
        said = "" if self.reason is None else str(self.reason).strip()
        object.__setattr__(self, "reason", said or "the problem gives no reason")


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A named genome that a user would have picked without a search."""

    name: str
    genome: IntArray

    def __post_init__(self) -> None:
        _check_name(self.name)


Row = Sequence[float] | FloatArray | Failure
Rows = Sequence[Row] | FloatArray


class Problem(Protocol):
    """Something that can be pruned.

    The driver builds the problem from the config's options, calls `prepare` if the problem has it, and sends copies to
    the workers (so a problem must pickle); each worker calls `setup` once and then only `evaluate`. The members
    `space`, `objectives`, `references` and `describe` must work without `setup`.
    """

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        ...

    @property
    def objectives(self) -> Sequence[Objective]:
        """What is made better; one or more."""
        ...

    def setup(self, device: str, threads: int) -> None:
        """Load model and data, once per worker; `device` is `cpu` or `cuda`."""
        ...

    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> Rows:
        """Measure a batch on one part of the data.

        Args:
            genomes: Shape (n, genes), all legal.
            seeds: Shape (n,), one seed per genome: all the randomness this genome's measurement may use.
            split: Which of the three disjoint parts of the data to measure on.

        Returns:
            One row per genome: the objectives' values and then the constraints', in natural signs and units, or a
            `Failure`. An array of shape (n, objectives + constraints) will do. Same genome + same seed = same row,
            whatever else is in the batch. Numbers beyond `LARGEST` count as failures, as those do that are not finite.
        """
        ...

    def references(self) -> Sequence[Reference]:
        """Named genomes, the unpruned one first, then what a user would have picked without a search."""
        ...

    def describe(self, genome: IntArray) -> Description:
        """Say in a person's words what this genome keeps: labels and short values, in reading order."""
        ...

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the pruned thing itself into `folder`, loadable without emoprune; return what was verified.

        `setup` has been called; `folder` exists and is empty. Raise if the reloaded thing differs from the evaluated
        one; the folder is then removed.
        """
        ...


@runtime_checkable
class Constrained(Protocol):
    """A problem that also has constraints; their values follow the objectives' in every row."""

    @property
    def constraints(self) -> Sequence[Constraint]:
        """What must hold for a candidate to be feasible."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A problem with work to do once per run, before anything else is asked of it."""

    def prepare(self, folder: Path, seed: int) -> None:
        """Make, or load if it is already there, what costs time once (a trained network); files in `folder` persist."""
        ...


@runtime_checkable
class Canonical(Protocol):
    """A problem in which different genomes can decode to the same pruned thing."""

    def canonical(self, genomes: IntArray) -> IntArray:
        """Map each genome of shape (n, genes) to the one representative of its pruned thing."""
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A problem that can say whether its model or data changed between a run and its resume."""

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        ...


class Sampling(Protocol):
    """Makes genomes from nothing; need not respect floors and locks, repair follows."""

    def __call__(self, space: Space, count: int, rng: np.random.Generator) -> IntArray:
        """Return genomes of shape (count, genes)."""
        ...


class Seeding(Protocol):
    """Mixes known good genomes (references, a former run's front) into the first generation."""

    def __call__(self, space: Space, seeds: IntArray, sampled: IntArray, rng: np.random.Generator) -> IntArray:
        """Take `seeds` of shape (m, genes) and `sampled` of shape (n, genes); return n genomes.

        The seeds themselves are already in generation 0; what is returned fills the rest of it.
        """
        ...


class Crossover(Protocol):
    """Makes two children of each pair of parents."""

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape."""
        ...


class Mutation(Protocol):
    """Changes some genes of each genome."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape; the argument stays as it was."""
        ...


class Repair(Protocol):
    """Makes genomes legal, canonical or affordable, changing as little as it can."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape; the argument stays as it was."""
        ...


def constraints_of(problem: Problem) -> tuple[Constraint, ...]:
    """Return the problem's constraints, none if it does not have the member."""
    return tuple(problem.constraints) if isinstance(problem, Constrained) else ()


def as_minimised(values: FloatArray, objectives: Sequence[Objective]) -> FloatArray:
    """Turn objective values of shape (..., objectives) into ones to minimise; applied twice it gives them back.

    The only place where a sign changes.
    """
    signs = np.array([1.0 if objective.direction is Direction.MINIMISE else -1.0 for objective in objectives])
    return np.asarray(values * signs)


def violations(values: FloatArray, constraints: Sequence[Constraint]) -> FloatArray:
    """Return by how much each constraint is missed, relative to its bound: shape (n, constraints), 0 where it holds.

    At most `LARGEST`, however small the bound is.
    """
    bounds = np.array([constraint.bound for constraint in constraints], dtype=np.float64)
    signs = np.array([1.0 if constraint.sense is Sense.AT_MOST else -1.0 for constraint in constraints])
    scale = np.where(bounds == 0, 1.0, np.abs(bounds))
    with np.errstate(over="ignore"):  # a bound next to nothing
        missed = (values - bounds) * signs / scale
    return np.asarray(np.clip(missed, 0.0, LARGEST))
