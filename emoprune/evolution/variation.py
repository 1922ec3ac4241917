"""How new genomes are made: tournament, crossover, mutation, repair, and only genomes never asked for before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Canonical, Crossover, Mutation, Objective, Repair, Sampling, Seeding
from emoprune.contracts.algorithm import NO_PARENT, Parents, Proposed
from emoprune.evolution.duplicates import Duplicates
from emoprune.space import IntArray, Space

__all__ = ["Operators", "Variation", "tournament"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROUNDS = 30  # of mating, and then of sampling, before a short generation is accepted


@dataclass(frozen=True, slots=True)
class Operators:
    """The operators of one search, as the config chose them, and the problem's canonical form if it has one."""

    sampling: Sampling
    seeding: Seeding
    crossover: Crossover
    mutation: Mutation
    repairs: tuple[Repair, ...]
    canonical: Canonical | None = None

    def repaired(self, space: Space, genomes: IntArray, rng: np.random.Generator, source: str) -> IntArray:
        """Pass genomes of shape (n, genes) through every repair and the canonical form, then insist on legality.

        Raises:
            ContractError: What comes out is still illegal; `source` names the operator to blame.
        """
        for repair in self.repairs:
            genomes = repair(space, genomes, rng)
        if self.canonical is not None:
            genomes = self.canonical.canonical(genomes)
        return space.check(genomes, source)


def tournament(parents: Parents, winners: int, rng: np.random.Generator) -> IntArray:
    """Return `winners` row indices, each the better of two: less violation, then dominance, then crowding, then a coin.

    Dominance before crowding, as in pymoo's default for NSGA-II: comparing by rank instead gave a lower hypervolume.
    Dominance within noise is none.
    """
    count = len(parents.ids)
    draws = -(-2 * winners // count)
    permutations = rng.permuted(np.tile(np.arange(count), (draws, 1)), axis=1)
    # Neighbours in one permutation: nobody meets himself, and everybody competes equally often.
    first, second = permutations.ravel()[: 2 * winners].reshape(winners, 2).T
    less = parents.violation[first] - parents.violation[second]
    ahead = (parents.objectives[first] <= parents.objectives[second]).all(axis=1)
    behind = (parents.objectives[second] <= parents.objectives[first]).all(axis=1)
    dominance = behind.astype(np.int64) - ahead.astype(np.int64)
    if parents.noise is not None:
        dominance[parents.noise.tied(first, second)] = 0
    crowding = np.nan_to_num(parents.crowding, nan=0.0, posinf=np.finfo(np.float64).max)
    less_crowded = crowding[second] - crowding[first]
    coin = rng.integers(0, 2, winners) - 0.5
    verdict = np.where(less != 0, less, coin)
    feasible = (parents.violation[first] == 0) & (parents.violation[second] == 0)
    by_crowding = np.where(less_crowded != 0, less_crowded, coin)
    verdict = np.where(feasible, np.where(dominance != 0, dominance, by_crowding), verdict)
    return np.where(verdict < 0, first, second)


@dataclass(slots=True, eq=False)
class Variation:
    """Makes generations of new, legal, repaired genomes: what algorithms know as `Breeding`.

    `exhausted` says that the whole space was gone through and holds nothing new any more.
    """

    space: Space
    operators: Operators
    duplicates: Duplicates
    rng: np.random.Generator
    objectives: Sequence[Objective] = ()
    population: int = 0
    exhausted: bool = False

    def initial(self, seeds: IntArray, count: int) -> IntArray:
        """Return up to `count` new genomes for generation 0, built around `seeds` of shape (m, genes)."""
        made: list[IntArray] = []
        for _ in range(ROUNDS):
            missing = count - sum(map(len, made))
            if missing <= 0:
                break
            sampled = self.operators.sampling(self.space, missing, self.rng)
            filled = self.operators.seeding(self.space, seeds, sampled, self.rng) if len(seeds) else sampled
            made.append(self._new(filled, missing, "sampling or seeding"))
        return self._completed(made, count)

    def offspring(self, parents: Parents, count: int) -> Proposed:
        """Return up to `count` new children with the ids of their parents.

        Fewer come back only when mating and then sampling find nothing new: the space is nearly exhausted. Children
        that sampling had to provide have no parents.
        """
        made: list[IntArray] = []
        ancestry: list[IntArray] = []
        for _ in range(ROUNDS):
            missing = count - sum(map(len, made))
            if missing <= 0:
                break
            children, ids = self._mate(parents, missing)
            legal = self.operators.repaired(self.space, children, self.rng, "crossover or mutation")
            rows = self.duplicates.first_new(legal, missing)
            made.append(legal[rows])
            ancestry.append(ids[rows])
        immigrants = self.sampled(count - sum(map(len, made)))
        ancestry.append(np.full((len(immigrants), 2), NO_PARENT, dtype=np.int64))
        return Proposed(np.concatenate([*made, immigrants]), np.concatenate(ancestry))

    def sampled(self, count: int) -> IntArray:
        """Return up to `count` new genomes from the sampling operator alone."""
        made: list[IntArray] = []
        for _ in range(ROUNDS):
            missing = count - sum(map(len, made))
            if missing <= 0:
                break
            made.append(self._new(self.operators.sampling(self.space, missing, self.rng), missing, "sampling"))
        return self._completed(made, count)

    def children(self, parents: Parents, count: int) -> Proposed:
        """Return `count` children with the ids of their parents, repaired; they may be known already."""
        made, ids = self._mate(parents, count)
        legal = self.operators.repaired(self.space, made[:count], self.rng, "crossover or mutation")
        return Proposed(legal, ids[:count])

    def unmeasured(self, genomes: IntArray) -> IntArray:
        """Return the rows of the genomes that are new, equal ones once, without remembering them."""
        return self.duplicates.new_rows(genomes)

    def mutated(self, genomes: IntArray) -> IntArray:
        """Return mutants of genomes of shape (n, genes), repaired; they may be known already."""
        mutants = self.operators.mutation(self.space, genomes, self.rng)
        return self.operators.repaired(self.space, mutants, self.rng, "mutation")

    def repaired(self, genomes: IntArray) -> IntArray:
        """Return legal genomes of the same shape, in their canonical form."""
        return self.operators.repaired(self.space, genomes, self.rng, "the algorithm")

    def first_new(self, genomes: IntArray, limit: int) -> IntArray:
        """Return the rows of the first `limit` genomes that are new, and remember these."""
        return self.duplicates.first_new(genomes, limit)

    def _mate(self, parents: Parents, count: int) -> tuple[IntArray, IntArray]:
        """Select, cross and mutate: at least `count` children and their parents' ids, not yet repaired."""
        pairs = -(-count // 2)
        chosen = tournament(parents, 2 * pairs, self.rng).reshape(2, pairs)
        children = self.operators.crossover(self.space, parents.genomes[chosen], self.rng)
        flat = children.reshape(2 * pairs, len(self.space))
        ancestry = np.tile(parents.ids[chosen].T, (2, 1))
        return self.operators.mutation(self.space, flat, self.rng), ancestry

    def _new(self, genomes: IntArray, limit: int, source: str) -> IntArray:
        legal = self.operators.repaired(self.space, genomes, self.rng, source)
        return legal[self.duplicates.first_new(legal, limit)]

    def _completed(self, made: Sequence[IntArray], count: int) -> IntArray:
        """Join what was made; if that is too little and the space is small, add what is left of it, in random order."""
        missing = count - sum(map(len, made))
        rest = self._remaining(missing) if missing > 0 else self._nothing()
        return np.concatenate([self._nothing(), *made, rest])

    def _remaining(self, limit: int) -> IntArray:
        """Return up to `limit` of what is left of a space that can be gone through; nothing of a larger one."""
        found = self._nothing()
        if not self.duplicates.enumerable:
            return found
        for genomes in self.duplicates.rest(self.rng):
            legal = genomes[self.space.legal(genomes)]
            # Genomes that their canonical form or a cost bound would move are not candidates of their own.
            fixed = self.operators.repaired(self.space, legal, self.rng, "repair") if len(legal) else legal
            own = legal[(fixed == legal).all(axis=1)]
            found = np.concatenate([found, own[self.duplicates.first_new(own, limit - len(found))]])
            if len(found) == limit:
                return found
        self.exhausted = True
        return found

    def _nothing(self) -> IntArray:
        return np.zeros((0, len(self.space)), dtype=np.int64)
