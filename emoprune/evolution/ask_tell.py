"""An algorithm at work: its proposals numbered, checked and never repeated, its state saved and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Objective
from emoprune.contracts.algorithm import NO_PARENT, Algorithm, Measured, Noise, Proposed, Selecting
from emoprune.errors import ContractError, RunCorrupt
from emoprune.evolution.duplicates import Duplicates
from emoprune.evolution.variation import Operators, Variation
from emoprune.space import IntArray, Space

__all__ = ["Evolution", "Offspring"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Offspring:
    """New genomes to evaluate: `ids` (n,), `genomes` (n, genes), `parents` (n, 2) with -1 for none, `origins` (n,)."""

    ids: IntArray
    genomes: IntArray
    parents: IntArray
    origins: tuple[str, ...]

    @classmethod
    def none(cls, genes: int) -> Offspring:
        """Return an empty generation."""
        ids, genomes, parents = (np.zeros(shape, dtype=np.int64) for shape in ((0,), (0, genes), (0, 2)))
        return cls(ids, genomes, parents, ())

    def __len__(self) -> int:
        return len(self.ids)

    def joined(self, later: Offspring) -> Offspring:
        """Return these and `later` ones of the same generation."""
        ids, genomes, parents = (
            np.concatenate([getattr(self, name), getattr(later, name)]) for name in ("ids", "genomes", "parents")
        )
        return Offspring(ids, genomes, parents, (*self.origins, *later.origins))


class Evolution:
    """One search's algorithm: ask for offspring, tell what they scored; all state can be saved and restored.

    Args:
        name: The algorithm's name, which its state is saved under.
        algorithm: What chooses, just made.
        space: Which genomes are legal.
        operators: How genomes vary.
        rng: The only source of randomness.
        objectives: What is made better.
        population: How many genomes survive each generation, and how many the first one has.

    Raises:
        ConfigError: The algorithm cannot work with these objectives, or needs an extra that is missing.
    """

    def __init__(
        self,
        name: str,
        algorithm: Algorithm,
        space: Space,
        operators: Operators,
        rng: np.random.Generator,
        *,
        objectives: Sequence[Objective],
        population: int,
    ) -> None:
        self.name = name
        self.space = space
        self.next_id = 0
        self._rng = rng
        self._population = population
        self._variation = Variation(space, operators, Duplicates(space), rng, tuple(objectives), population)
        self._asked = Offspring.none(len(space))
        self._algorithm = algorithm
        algorithm.check(objectives)
        algorithm.begin(self._variation)

    @property
    def per_generation(self) -> int | None:
        """How many candidates a generation after the first one has while there are new genomes; None if it varies."""
        return self._algorithm.turn

    @property
    def population(self) -> IntArray:
        """The ids of what the next generation is made from, shape (n,)."""
        return self._algorithm.population

    @property
    def ended(self) -> str | None:
        """Why the algorithm has nothing more to ask for; None while it goes on."""
        return self._algorithm.ended

    @property
    def exhausted(self) -> bool:
        """Whether the whole space was gone through, and nothing new is left of it."""
        return self._variation.exhausted

    def begin(self, seeds: IntArray, origins: Sequence[str]) -> Offspring:
        """Return generation 0: the `seeds` (m, genes) themselves, first and in order, then a filled-up population.

        Equal seeds come back once.
        """
        known = self._variation.first_new(self.space.check(seeds, "references"), len(seeds))
        chosen = seeds[known]
        filled = self._variation.initial(chosen, max(0, self._population - len(chosen)))
        named = [*(origins[row] for row in known), *["initial"] * len(filled)]
        return self._numbered(Proposed.parentless(np.concatenate([chosen, filled])), named)

    def extend(self, genomes: IntArray, origins: Sequence[str]) -> Offspring:
        """Return those of `genomes`, shape (m, genes), that the generation last asked for does not hold yet.

        They belong to that generation from then on, are numbered after it, and are told with it.
        """
        earlier = self._asked
        new = self._variation.first_new(self.space.check(genomes, "references"), len(genomes))
        added = self._numbered(Proposed.parentless(genomes[new]), [origins[row] for row in new])
        self._asked = earlier.joined(added)
        return added

    def ask(self) -> Offspring:
        """Return the next generation's candidates, none of them ever asked for before; none at all if none are left.

        Raises:
            ContractError: The algorithm proposes genomes that are illegal, or that were asked for before.
        """
        if self.ended is not None:
            return Offspring.none(len(self.space))
        self._variation.duplicates.begin_generation()
        proposed = self._algorithm.ask(self._rng)
        self.space.check(proposed.genomes, self.name)
        # Every way to new genomes goes through the duplicates; what went around them may have been asked for before.
        strangers = self._variation.duplicates.keep(proposed.genomes)
        if strangers:
            raise ContractError(
                f"{self.name}: expected genomes that were never proposed before, each of them once, found {strangers} "
                f"of {len(proposed)} that did not come from first_new, sampled or offspring in this ask; pass them on"
            )
        origins = ["sampling" if alone else "mating" for alone in proposed.parents[:, 0] == NO_PARENT]
        return self._numbered(proposed, origins)

    def _numbered(self, proposed: Proposed, origins: Sequence[str]) -> Offspring:
        ids = np.arange(self.next_id, self.next_id + len(proposed))
        self.next_id += len(proposed)
        self._asked = Offspring(ids, proposed.genomes, proposed.parents, tuple(origins))
        return self._asked

    @property
    def selects(self) -> bool:
        """Whether the algorithm says itself who is measured further."""
        return isinstance(self._algorithm, Selecting)

    def going_on(
        self,
        grade: int,
        rows: IntArray,
        objectives: FloatArray,
        violation: FloatArray,
        noise: Noise | None = None,
    ) -> set[int]:
        """Return the ids of the offspring last asked for that go on after a grade; arguments are as in `tell`."""
        if not isinstance(self._algorithm, Selecting):
            raise ContractError(f"{self.name} does not say who is measured further")
        measured = Measured(self._asked.ids[rows], self._asked.genomes[rows], objectives, violation, noise)
        return set(self._algorithm.going_on(grade, measured).tolist())

    def tell(self, rows: IntArray, objectives: FloatArray, violation: FloatArray, noise: Noise | None = None) -> None:
        """Let the algorithm take in what was measured of the offspring last asked for.

        Args:
            rows: Which of the offspring were measured, shape (n,); failed ones are simply not named.
            objectives: To minimise, shape (n, objectives), finite.
            violation: Total violation, shape (n,), 0 where feasible.
            noise: What was measured block by block; None for a problem that is measured in full.

        Raises:
            ContractError: A number is not finite, or the shapes do not fit.
        """
        measured = Measured(self._asked.ids[rows], self._asked.genomes[rows], objectives, violation, noise)
        self._algorithm.tell(measured, self._rng)

    def state(self) -> dict[str, Any]:
        """Return everything that the next `ask` depends on, as plain JSON values; call it between tell and ask."""
        return {
            "algorithm": self.name,
            "next_id": self.next_id,
            "rng": self._rng.bit_generator.state,
            "state": dict(self._algorithm.state()),
        }

    def restore(self, state: Mapping[str, Any], asked: IntArray, history: Measured) -> None:
        """Continue from `state`.

        Args:
            state: What `state` returned.
            asked: Every genome asked for before it, shape (n, genes).
            history: What was told of them, in order.

        Raises:
            RunCorrupt: The state is another algorithm's, or not a state at all.
        """
        try:
            if state["algorithm"] != self.name:
                raise ValueError(f"made by {state['algorithm']}")
            self._rng.bit_generator.state = state["rng"]
            self.next_id = int(state["next_id"])
            self._algorithm.restore(state["state"], history)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise RunCorrupt(f"the checkpoint does not hold a state of {self.name}: {error!r}") from error
        self._variation.duplicates.remember(asked)
