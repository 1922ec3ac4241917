"""Evolution by deletion alone, with parents that die: the loop of PromptQuine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from emoprune.algorithms.single_objective import SingleObjective
from emoprune.contracts import Paper, about
from emoprune.contracts.algorithm import NO_PARENT, Measured, Proposed
from emoprune.errors import ConfigError
from emoprune.space import IntArray

__all__ = ["PromptQuine"]

PROMPTQUINE = Paper("Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective", "2506.17930")
IDLE = 30  # generations in a row that bring nothing new before the search counts as exhausted


@about("search", ["genomes"], cost="tournaments and mutations", papers=[PROMPTQUINE])
class PromptQuine(SingleObjective):
    """Let mutants of tournament winners replace the population; parents die even if they are better.

    A child that equals a member is dropped and its place is lost; one that was measured earlier takes part with the
    value it had. Which of a generation's candidates the survivors are taken from has two readings: `children`, as the
    pseudo-code says, or `last`, the last `offspring` of population and children together, as the published code does,
    which lets old members survive where children were dropped. Set the mutation to `deletion`.

    Source: Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective (arXiv 2506.17930).

    Args:
        objective: What is made better; the problem's first by default.
        mode: generational, all children from one population; steady-state, each child can be a parent at once.
        replacement: Where survivors are taken from: children or last.
        offspring: How many places for children a generation has.
        tournament: Which share of the population a parent is the best of.
        shortest: The search ends when the population's mean length is no more than this; by the space's costs.
        budget: The search ends after so many places for children, lost ones included.
    """

    def __init__(
        self,
        objective: str | None = None,
        *,
        mode: Literal["generational", "steady-state"] = "generational",
        replacement: Literal["children", "last"] = "children",
        offspring: int = 50,
        tournament: float = 0.2,
        shortest: float = 15.0,
        budget: int = 10_000,
    ) -> None:
        if offspring < 1 or budget < 1:
            raise ConfigError(f"promptquine: expected offspring and budget of 1 or more, found {offspring}, {budget}")
        if not 0 < tournament <= 1:
            raise ConfigError(f"promptquine: expected a tournament above 0 and at most 1, found {tournament}")
        super().__init__("promptquine", objective)
        self._steady = mode == "steady-state"
        self._from_last = replacement == "last"
        self._places = offspring
        self._share = tournament
        self._shortest = shortest
        self._budget = budget
        self._pool: list[int] = []  # the population; in steady-state the generation's children as well
        self._children: list[int] = []
        self._used = 0  # places of this generation
        self._spent = 0  # places of all generations
        self._asked: list[int | IntArray] = []

    @property
    def turn(self) -> int | None:
        """One at a time in steady-state; else as many as there are places, less those that are lost."""
        return 1 if self._steady else None

    @property
    def population(self) -> IntArray:
        """The ids of the population."""
        return np.array(self._pool, dtype=np.int64)

    @property
    def ended(self) -> str | None:
        """Whether the budget is spent, or the population is as short as it should become."""
        if self._spent >= self._budget:
            return f"the budget of {self._budget:,} places for children is spent"
        length = self._told.length(self._pool) if self._pool else np.inf
        if length <= self._shortest:
            return f"the population's mean length is {length:.1f}, which is no more than {self._shortest:g}"
        return None

    def ask(self, rng: np.random.Generator) -> Proposed:
        """Return children that were never measured; none if many generations in a row bring none."""
        for _ in range(IDLE if self._pool else 0):
            proposed = self._next(rng)
            if len(proposed) or self.ended is not None:
                return proposed
        return self._nothing()

    def _next(self, rng: np.random.Generator) -> Proposed:
        """Use the generation's places until there is something to measure, or they are used up."""
        self._asked = []
        while self._used < self._places and self._spent < self._budget:
            count = 1 if self._steady else min(self._places, self._budget - self._spent)
            parents = self._parents(count, rng)
            self._used, self._spent = self._used + count, self._spent + count
            proposed = self._kept(self._search.mutated(self._told.genomes(parents)), parents)
            if len(proposed):
                return proposed
            self._take_in()
        self._replace()
        return self._nothing()

    def _parents(self, count: int, rng: np.random.Generator) -> list[int]:
        """Return the winners of tournaments among some of the pool, drawn with replacement."""
        order = {number: place for place, number in enumerate(self._told.sorted(self._pool))}
        size = max(1, int(self._share * len(self._pool)))
        drawn = rng.integers(0, len(self._pool), (count, size))
        return [min((self._pool[place] for place in row), key=order.__getitem__) for row in drawn.tolist()]

    def _kept(self, children: IntArray, parents: Sequence[int]) -> Proposed:
        """Note the children that are no members, in order, and return those among them that are new."""
        keys = self._search.space.keys(children)
        taken = set(self._search.space.keys(self._told.genomes(self._pool)))
        new: list[int] = []
        for row, (key, known) in enumerate(zip(keys, self._told.known(children), strict=True)):
            if key in taken:
                continue
            taken.add(key)
            if known is not None:
                self._asked.append(known)
            elif len(self._search.first_new(children[row : row + 1], 1)):
                self._asked.append(children[row])
                new.append(row)
        ancestry = [[parents[row], NO_PARENT] for row in new]
        return Proposed(children[new], np.array(ancestry, dtype=np.int64).reshape(len(new), 2))

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:  # noqa: ARG002  # nothing is drawn here
        """Let what was measured join the generation's children; a full generation replaces the population."""
        self._told.add(measured)
        if not self._pool:
            best = self._told.sorted(measured.ids.tolist())
            self._pool = best[: self._search.population]
            return
        self._take_in()
        if self._used >= self._places or self._spent >= self._budget:
            self._replace()

    def _take_in(self) -> None:
        """Add the children that have values, in the order in which they were made."""
        for child in self._asked:
            number = child if isinstance(child, int) else self._told.known(child[None])[0]
            if number is None:
                continue  # it could not be measured
            self._children.append(number)
            if self._steady:
                self._pool.append(number)
        self._asked = []

    def _replace(self) -> None:
        """Keep the best of the last ones as the next population; without children the old one stays."""
        everyone = self._pool if self._steady else [*self._pool, *self._children]
        candidates = everyone[-self._places :] if self._from_last else self._children
        if candidates:
            self._pool = self._told.sorted(candidates)[: self._search.population]
        elif self._steady:
            self._pool = self._pool[: self._search.population]
        self._children, self._used = [], 0

    def state(self) -> dict[str, Any]:
        """Return the population, the generation's children, and the places used."""
        return {"pool": self._pool, "children": self._children, "used": self._used, "spent": self._spent}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._told.add(history)
        self._pool, self._children = [int(each) for each in state["pool"]], [int(each) for each in state["children"]]
        self._used, self._spent = int(state["used"]), int(state["spent"])
