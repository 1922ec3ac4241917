"""What every operator promises, as checks: one class per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np

from emoprune.contracts import Crossover, Mutation, Repair, Sampling, Seeding
from emoprune.space import FREE, IntArray, Space
from emoprune.testing.promises import require
from emoprune.testing.samples import legal_genomes, sample_spaces

__all__ = [
    "CrossoverConformance",
    "MutationConformance",
    "OperatorConformance",
    "RepairConformance",
    "SamplingConformance",
    "SeedingConformance",
    "Trial",
]

Operator = TypeVar("Operator", Sampling, Seeding, Crossover, Mutation, Repair)

COUNTS = (1, 7, 64)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One use of an operator: on which space, given which arrays, for a result of which shape, and how to make it."""

    space: Space
    given: tuple[IntArray, ...]
    shape: tuple[int, ...]
    make: Callable[[np.random.Generator], IntArray]

    def made(self, seed: int = 1) -> IntArray:
        """Return the result."""
        return self.make(np.random.default_rng(seed))

    def genomes(self) -> IntArray:
        """Return the result as a matrix, shape (n, genes)."""
        return self.made().reshape(-1, len(self.space))


class OperatorConformance(Generic[Operator]):
    """Checks of any operator; derive from the class of its kind and override `operator`.

    Attributes:
        keeps_locks: Whether locked genes come out at their lock, given that they go in so.
    """

    keeps_locks: ClassVar[bool] = True

    def operator(self) -> Operator:
        """Return the operator to check."""
        raise NotImplementedError("override operator(self): return the operator to check")

    def spaces(self) -> Sequence[Space]:
        """Return the spaces to try it on; override for an operator that is made for some spaces only."""
        return sample_spaces()

    def trial(self, space: Space, count: int) -> Trial:
        """Return one use of the operator on `space`, for `count` genomes or pairs."""
        raise NotImplementedError("derive from the class of the operator's kind, such as MutationConformance")

    def test_results_are_whole_numbers_of_the_promised_shape(self) -> None:
        """One row of genes per genome asked for or given."""
        for trial in self._trials():
            result = trial.made()
            require(result.shape == trial.shape, f"operator: expected shape {trial.shape}", result.shape)
            require(result.dtype.kind in "iu", "operator: expected an integer array", result.dtype)

    def test_every_level_is_in_range(self) -> None:
        """Repair fills floors and sets locks, but should not have to guess what a level was meant to be."""
        for trial in self._trials():
            result = trial.genomes()
            outside = np.flatnonzero(((result < 0) | (result >= trial.space.levels)).any(axis=1))
            require(len(outside) == 0, "operator: expected levels in range", result[outside[:1]].tolist())

    def test_locked_genes_stay_at_their_lock(self) -> None:
        """Where the operator says so."""
        for trial in self._trials() if self.keeps_locks else ():
            locked = trial.space.locked
            moved = np.flatnonzero(((locked != FREE) & (trial.genomes() != locked)).any(axis=0))
            require(len(moved) == 0, "operator: expected locked genes at their lock", f"others at {moved.tolist()}")

    def test_arguments_stay_as_they_were(self) -> None:
        """Parents live on."""
        for trial in self._trials():
            before = [array.copy() for array in trial.given]
            trial.made()[...] = -1  # a result that shares memory with an argument would change it later
            same = all(np.array_equal(*pair) for pair in zip(before, trial.given, strict=True))
            require(same, "operator: expected its arguments left alone", "them changed: work on a copy")

    def test_the_same_generator_state_gives_the_same_result(self) -> None:
        """All randomness comes from the generator that is passed."""
        for trial in self._trials():
            same = np.array_equal(trial.made(), trial.made())
            require(same, "operator: expected equal results from equal generators", "different ones")

    def _trials(self) -> Iterator[Trial]:
        for space in self.spaces():
            for count in COUNTS:
                yield self.trial(space, count)


class SamplingConformance(OperatorConformance[Sampling]):
    """Checks of a sampling; it need not respect locks."""

    keeps_locks: ClassVar[bool] = False

    def trial(self, space: Space, count: int) -> Trial:
        """Ask for `count` genomes."""
        return Trial(space, (), (count, len(space)), lambda rng: self.operator()(space, count, rng))


class SeedingConformance(OperatorConformance[Seeding]):
    """Checks of a seeding."""

    def trial(self, space: Space, count: int) -> Trial:
        """Give a few legal seeds, and `count` legal genomes as the sample."""
        rng = np.random.default_rng(count)
        seeds, sampled = legal_genomes(space, 3, rng), legal_genomes(space, count, rng)
        return Trial(space, (seeds, sampled), sampled.shape, lambda rng: self.operator()(space, seeds, sampled, rng))


class CrossoverConformance(OperatorConformance[Crossover]):
    """Checks of a crossover."""

    def trial(self, space: Space, count: int) -> Trial:
        """Give `count` pairs of legal parents."""
        parents = legal_genomes(space, 2 * count, np.random.default_rng(count)).reshape(2, count, len(space))
        return Trial(space, (parents,), parents.shape, lambda rng: self.operator()(space, parents, rng))


class MutationConformance(OperatorConformance[Mutation]):
    """Checks of a mutation."""

    def trial(self, space: Space, count: int) -> Trial:
        """Give `count` legal genomes."""
        genomes = legal_genomes(space, count, np.random.default_rng(count))
        return Trial(space, (genomes,), genomes.shape, lambda rng: self.operator()(space, genomes, rng))


class RepairConformance(OperatorConformance[Repair]):
    """Checks of a repair.

    Attributes:
        makes_legal: Whether every genome with levels in range comes out legal; others must keep legal ones legal.
    """

    keeps_locks: ClassVar[bool] = False
    makes_legal: ClassVar[bool] = False

    def trial(self, space: Space, count: int) -> Trial:
        """Give `count` genomes with levels in range, most of them illegal."""
        genomes = np.random.default_rng(count).integers(0, space.levels, (count, len(space)))
        return Trial(space, (genomes,), genomes.shape, lambda rng: self.operator()(space, genomes, rng))

    def test_legal_genomes_stay_legal_and_others_become_so_where_promised(self) -> None:
        """The engine refuses to go on with an illegal genome."""
        for trial in self._trials():
            rng = np.random.default_rng(1)
            legal = legal_genomes(trial.space, len(trial.given[0]), rng)
            trial.space.check(self.operator()(trial.space, legal, rng), "repair of legal genomes")
            if self.makes_legal:
                trial.space.check(trial.made(), "repair of any genomes")

    def test_repairing_twice_changes_nothing_more(self) -> None:
        """What a repair made is what it wants."""
        for trial in self._trials():
            once = trial.made()
            twice = self.operator()(trial.space, once, np.random.default_rng(2))
            require(np.array_equal(once, twice), "repair: expected its own result to stay", "it changed")
