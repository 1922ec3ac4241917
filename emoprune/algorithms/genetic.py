"""A genetic algorithm with an elite: the one of ClaPS, with its errors mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.algorithms.single_objective import CLAPS, SingleObjective
from emoprune.contracts import about
from emoprune.contracts.algorithm import NO_PARENT, Measured, Proposed
from emoprune.errors import ConfigError
from emoprune.space import IntArray

__all__ = ["Genetic"]

TRIES = 30  # of making new children, before a short generation is accepted


@about("search", ["genomes"], cost="a sort by one objective per generation", papers=[CLAPS])
class Genetic(SingleObjective):
    """Keep the best tenth; half of the rest are mutants of it, half are children of two of it, gene by gene.

    In the published code a child is a copy of one whole parent, the first and last token never mutate, and the best
    prompt is looked up in the values of the population before; here children mix, every gene can mutate, and values
    stay with their genomes. Set the mutation to `resample` with the rate 0.1.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).

    Args:
        objective: What is made better; the problem's first by default.
        elite: Which share of the population stays, and is what the next one is made of.
    """

    def __init__(self, objective: str | None = None, elite: float = 0.1) -> None:
        if not 0 < elite <= 1:
            raise ConfigError(f"genetic: expected an elite above 0 and at most 1, found {elite}")
        super().__init__("genetic", objective)
        self._share = elite
        self._pool: list[int] = []

    @property
    def turn(self) -> int | None:
        """As many as the population has members."""
        return self._search.population

    @property
    def population(self) -> IntArray:
        """The ids of the elite and of its last children."""
        return np.array(self._pool, dtype=np.int64)

    @property
    def _elite(self) -> list[int]:
        return self._told.sorted(self._pool)[: max(1, int(self._share * len(self._pool)))]

    def ask(self, rng: np.random.Generator) -> Proposed:
        """Return mutants and children of the elite, none of them measured before."""
        if not self._pool:
            return self._nothing()
        elite, count = self._elite, self._search.population
        mutants = self._fresh(count // 2, lambda wanted: self._mutants(elite, wanted, rng))
        children = self._fresh(count - len(mutants), lambda wanted: self._crossed(elite, wanted, rng))
        more = self._fresh(count - len(mutants) - len(children), lambda wanted: self._mutants(elite, wanted, rng))
        return _together([mutants, children, more])

    def _fresh(self, wanted: int, make: Callable[[int], Proposed]) -> Proposed:
        """Return up to `wanted` new ones of what `make` makes."""
        made = [self._nothing()]
        for _ in range(TRIES):
            missing = wanted - sum(map(len, made))
            if missing <= 0:
                break
            tried = make(missing)
            new = self._search.first_new(tried.genomes, missing)
            made.append(Proposed(tried.genomes[new], tried.parents[new]))
        return _together(made)

    def _mutants(self, elite: Sequence[int], count: int, rng: np.random.Generator) -> Proposed:
        chosen = rng.choice(elite, count)
        parents = np.column_stack([chosen, np.full(count, NO_PARENT)])
        return Proposed(self._search.mutated(self._told.genomes(chosen.tolist())), parents)

    def _crossed(self, elite: Sequence[int], count: int, rng: np.random.Generator) -> Proposed:
        """Return children that take each gene from either of two parents, with equal probability."""
        parents = rng.choice(elite, (count, 2))
        one, other = (self._told.genomes(parents[:, side].tolist()) for side in (0, 1))
        mixed = np.where(rng.random(one.shape) < 0.5, one, other)
        return Proposed(self._search.repaired(mixed), parents)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:  # noqa: ARG002  # nothing is drawn here
        """Let the elite and its children be the next population."""
        self._told.add(measured)
        told = measured.ids.tolist()
        self._pool = [*self._elite, *told] if self._pool else told

    def state(self) -> dict[str, Any]:
        """Return the population."""
        return {"pool": self._pool}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._told.add(history)
        self._pool = [int(number) for number in state["pool"]]


def _together(parts: Sequence[Proposed]) -> Proposed:
    return Proposed(np.concatenate([each.genomes for each in parts]), np.concatenate([each.parents for each in parts]))
