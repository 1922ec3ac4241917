"""What an algorithm promises: it says which genomes are measured next, and is told what was measured.

An algorithm need not inherit from anything here; it only has to have these members. Check one with `emoprune.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.grades import standard_error
from emoprune.contracts.objectives import Objective
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space

__all__ = ["NO_PARENT", "Algorithm", "Breeding", "Measured", "Noise", "Parents", "Proposed", "Selecting"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_PARENT = -1
AT_ONCE = 2_000_000  # differences in memory


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """Genomes to measure, shape (n, genes), and the ids of each one's parents, shape (n, 2), -1 where it has none."""

    genomes: IntArray
    parents: IntArray

    def __post_init__(self) -> None:
        if self.genomes.ndim != 2 or self.parents.shape != (len(self.genomes), 2):
            raise ContractError(
                f"proposed: expected genomes of shape (n, genes) with parents of shape (n, 2), found "
                f"{self.genomes.shape} and {self.parents.shape}"
            )

    @classmethod
    def parentless(cls, genomes: IntArray) -> Proposed:
        """Return genomes that were made from nothing."""
        return cls(genomes, np.full((len(genomes), 2), NO_PARENT, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.genomes)


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """What n genomes scored block by block, where a problem is measured so.

    `losses` has shape (n, objectives, blocks), to minimise, NaN on blocks that a genome was not measured on, and the
    same on every block where an objective is exact; `sizes` (blocks,) says how much each block counts; `broken` (n,) is
    the violation of bounds alone, without the one that blocks are missing. `scores` returns the objectives that follow
    from means over blocks, both of shape (n, objectives) and to minimise.
    """

    losses: FloatArray
    sizes: FloatArray
    broken: FloatArray
    scores: Callable[[FloatArray], FloatArray] = np.asarray

    @property
    def shares(self) -> FloatArray:
        """On which share of the blocks each genome was measured, shape (n,)."""
        return np.asarray((~np.isnan(self.losses[:, 0])).mean(axis=1))

    def means(self, count: int | None = None) -> FloatArray:
        """Return means over all blocks or the first so many, shape (n, objectives); NaN where some are missing."""
        return np.asarray(np.average(self.losses[:, :, :count], axis=2, weights=self.sizes[:count]))

    def tied(self, one: IntArray, other: IntArray) -> BoolArray:
        """Say of pairs of rows (k,) whether they differ in nothing by more than a standard error, shape (k,).

        That is the one of the paired differences over blocks, 0 of what is exact.
        """
        means = self.means()
        step = max(1, AT_ONCE // max(1, self.losses[:1].size))
        tied = np.zeros(len(one), dtype=np.bool_)
        for begin in range(0, len(one), step):
            piece = slice(begin, begin + step)
            errors = standard_error(self.losses[one[piece]] - self.losses[other[piece]], self.sizes)
            tied[piece] = (np.abs(means[one[piece]] - means[other[piece]]) <= errors).all(axis=1)
        return tied

    def at(self, rows: IntArray | BoolArray) -> Noise:
        """Return that of some of the genomes, in this order."""
        return Noise(self.losses[rows], self.sizes, self.broken[rows], self.scores)

    @classmethod
    def joined(cls, parts: Sequence[Noise | None]) -> Noise | None:
        """Return that of all genomes, part after part; None if there is none."""
        known = [each for each in parts if each is not None]
        if not known:
            return None
        losses, broken = ([getattr(each, name) for each in known] for name in ("losses", "broken"))
        return cls(np.concatenate(losses), known[0].sizes, np.concatenate(broken), known[0].scores)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Genomes that could be measured: ids (n,), genomes (n, genes), objectives (n, objectives) to minimise.

    `violation` has shape (n,), 0 where feasible. All numbers are finite. `noise` says more where a problem is measured
    block by block: a genome that was given up has missing blocks for a violation.
    """

    ids: IntArray
    genomes: IntArray
    objectives: FloatArray
    violation: FloatArray
    noise: Noise | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.genomes), len(self.objectives), len(self.violation)}
        if len(lengths) != 1:
            raise ContractError(f"measured: expected arrays of one length, found {sorted(lengths)}")
        if not (np.isfinite(self.objectives).all() and np.isfinite(self.violation).all()):
            raise ContractError(
                "measured: NaN and infinities must not reach the algorithm; leave failed evaluations out"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: IntArray | BoolArray) -> Measured:
        """Return some of them, in this order."""
        noise = None if self.noise is None else self.noise.at(rows)
        return Measured(self.ids[rows], self.genomes[rows], self.objectives[rows], self.violation[rows], noise)

    @classmethod
    def joined(cls, parts: Sequence[Measured]) -> Measured:
        """Return all of them, part after part."""
        names = ("ids", "genomes", "objectives", "violation")
        ids, genomes, objectives, violation = (
            np.concatenate([getattr(each, name) for each in parts]) for name in names
        )
        return cls(ids, genomes, objectives, violation, Noise.joined([each.noise for each in parts]))


@dataclass(frozen=True, slots=True, eq=False)
class Parents:
    """What selection sees of a population of n: arrays in one order, objectives to minimise.

    `violation` has shape (n,), 0 where feasible; `crowding` has shape (n,), NaN where the algorithm has none; `noise`
    is None where a problem is measured in full.
    """

    ids: IntArray
    genomes: IntArray
    objectives: FloatArray
    violation: FloatArray
    crowding: FloatArray
    noise: Noise | None = None


class Breeding(Protocol):
    """What a search hands its algorithm: what is searched, and the config's operators at work on it."""

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        ...

    @property
    def objectives(self) -> Sequence[Objective]:
        """What is made better; what algorithms see of it is to minimise, whatever the direction."""
        ...

    @property
    def population(self) -> int:
        """How many genomes the config wants to survive."""
        ...

    def sampled(self, count: int) -> IntArray:
        """Return up to `count` genomes from the sampling operator, none of them measured before."""
        ...

    def offspring(self, parents: Parents, count: int) -> Proposed:
        """Return up to `count` children by tournament, crossover and mutation, none of them measured before."""
        ...

    def children(self, parents: Parents, count: int) -> Proposed:
        """Return `count` children by tournament, crossover and mutation, repaired; some may be known already."""
        ...

    def unmeasured(self, genomes: IntArray) -> IntArray:
        """Return the rows of the genomes that were never measured, equal ones once, without counting them as such."""
        ...

    def mutated(self, genomes: IntArray) -> IntArray:
        """Return mutants of genomes of shape (n, genes), repaired; they may have been measured before."""
        ...

    def repaired(self, genomes: IntArray) -> IntArray:
        """Return legal genomes of the same shape, changed as little as the config's repairs can."""
        ...

    def first_new(self, genomes: IntArray, limit: int) -> IntArray:
        """Return the rows of the first `limit` genomes that were never measured, equal ones once, shape (n,).

        What is returned counts as measured from then on, unless the `ask` that it is called in does not propose it.
        """
        ...


class Algorithm(Protocol):
    """Chooses which genomes are measured next.

    The engine makes it from the config's options and calls `check`, then `begin`, then in turns `tell` and `ask`; the
    first `tell` is of generation 0, which holds the references and is made by the engine.
    """

    @property
    def turn(self) -> int | None:
        """How many genomes one `ask` proposes while there are new ones; None if that varies."""
        ...

    @property
    def population(self) -> IntArray:
        """The ids of what the next generation is made from, shape (n,)."""
        ...

    @property
    def ended(self) -> str | None:
        """Why there is nothing more to ask for, in words for a person; None while the search goes on."""
        ...

    def check(self, objectives: Sequence[Objective]) -> None:
        """Raise a ConfigError if it cannot work with these objectives, or if something it needs is not installed."""
        ...

    def begin(self, breeding: Breeding) -> None:
        """Take in what is searched."""
        ...

    def ask(self, rng: np.random.Generator) -> Proposed:
        """Return legal genomes that were never proposed before; none at all if it finds no more."""
        ...

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        """Take in what was measured of the genomes proposed last; those that failed are not among them."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return everything that the next `ask` depends on besides the generator, as plain JSON values."""
        ...

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`, after `begin`; `history` holds everything that was told before, in order.

        A state that is not its own may raise KeyError, TypeError, ValueError or IndexError.
        """
        ...


@runtime_checkable
class Selecting(Protocol):
    """An algorithm that says itself who is measured further, where a problem measures block by block.

    For others a candidate goes on until it is shown to be dominated.
    """

    def going_on(self, grade: int, measured: Measured) -> IntArray:
        """Return the ids of those of the genomes proposed last that go on to the next grade, shape (k,).

        Args:
            grade: After which grade, from 0 on; after the last one nobody is asked.
            measured: What was measured of those that came so far. It must answer by nothing else than this and what it
                was told, because a resumed search asks again.
        """
        ...
