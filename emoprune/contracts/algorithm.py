"""What an algorithm promises: it says which genomes are measured next, and is told what was measured.

An algorithm need not inherit from anything here; it only has to have these members. Check one with `emoprune.testing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.objectives import Objective
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space

__all__ = ["NO_PARENT", "Algorithm", "Breeding", "Measured", "Parents", "Proposed", "Selecting"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_PARENT = -1


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
class Measured:
    """Genomes that could be measured: ids (n,), genomes (n, genes), objectives (n, objectives) to minimise.

    `violation` has shape (n,), 0 where feasible. All numbers are finite.
    """

    ids: IntArray
    genomes: IntArray
    objectives: FloatArray
    violation: FloatArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Parents:
    """What selection sees of a population of n: arrays in one order, objectives to minimise.

    `violation` has shape (n,), 0 where feasible; `crowding` has shape (n,), NaN where the algorithm has none.
    """

    ids: IntArray
    genomes: IntArray
    objectives: FloatArray
    violation: FloatArray
    crowding: FloatArray


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
