"""What a problem promises.

It need not inherit from anything here; it only has to have these members. Check one with `emoprune.testing`. What it
may offer besides is written in `offers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.objectives import Constraint, FloatArray, Objective, check_name
from emoprune.contracts.offers import Description
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = [
    "Canonical",
    "Constrained",
    "Failure",
    "Fingerprinted",
    "Prepared",
    "Problem",
    "Reference",
    "Row",
    "Rows",
    "SeedArray",
    "Split",
    "own_constraints_of",
]

SeedArray = NDArray[np.uint64]


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
        check_name(self.name)


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


def own_constraints_of(problem: Problem) -> tuple[Constraint, ...]:
    """Return the constraints whose values a row of `evaluate` has, none if the problem does not have the member."""
    return tuple(problem.constraints) if isinstance(problem, Constrained) else ()
