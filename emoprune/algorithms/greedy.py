"""Greedy choice, one gene after the other: the search that ClaPS was released with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emoprune.algorithms.single_objective import CLAPS, SingleObjective
from emoprune.contracts import about
from emoprune.contracts.algorithm import NO_PARENT, Measured, Proposed
from emoprune.space import IntArray

__all__ = ["Greedy"]


@about("search", ["genomes"], cost="an evaluation per level of every gene", papers=[CLAPS])
class Greedy(SingleObjective):
    """Try every level above zero of the first gene, keep the best, go on with the next gene.

    It begins with the genome in which everything is off that may be. On a space of word slots each round appends one
    word: the best one, even where none makes the prompt better; shorter prompts stay in the history.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).

    Args:
        objective: What is made better; the problem's first by default.
    """

    def __init__(self, objective: str | None = None) -> None:
        super().__init__("greedy", objective)
        self._current: list[int] | None = None
        self._holder = NO_PARENT
        self._round = 0
        self._tried: IntArray | None = None

    @property
    def turn(self) -> int | None:
        """As many as a gene has levels."""
        return None

    @property
    def population(self) -> IntArray:
        """The id of what the next round goes on from."""
        return np.array([] if self._holder == NO_PARENT else [self._holder], dtype=np.int64)

    @property
    def ended(self) -> str | None:
        """Whether every gene was chosen."""
        if self._current is None or self._round < len(self._free):
            return None
        return f"all {len(self._free)} genes are chosen"

    @property
    def _free(self) -> IntArray:
        return np.flatnonzero(self._search.space.free)

    def ask(self, rng: np.random.Generator) -> Proposed:  # noqa: ARG002  # nothing is drawn here
        """Return every continuation of the round that was never measured."""
        while self._current is not None and self._round < len(self._free):
            self._tried = self._continuations()
            new = self._search.first_new(self._tried, len(self._tried))
            if len(new):
                parents = np.tile([self._holder, NO_PARENT], (len(new), 1))
                return Proposed(self._tried[new], parents)
            self._choose()
        return self._nothing()

    def _continuations(self) -> IntArray:
        space, gene = self._search.space, int(self._free[self._round])
        levels = np.arange(1, space.levels[gene])
        tried = np.tile(np.array(self._current, dtype=np.int64), (len(levels), 1))
        tried[:, gene] = levels
        return self._search.repaired(tried)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:  # noqa: ARG002  # nothing is drawn here
        """Take the best of the round."""
        self._told.add(measured)
        if self._current is None:
            space = self._search.space
            off = np.where(space.free, 0, space.full)
            self._current = self._search.repaired(off[None])[0].tolist()
            return
        self._choose()

    def _choose(self) -> None:
        tried = np.zeros((0, len(self._search.space)), dtype=np.int64) if self._tried is None else self._tried
        known = [number for number in self._told.known(tried) if number is not None]
        if known:
            self._holder = self._told.sorted(known)[0]
            self._current = self._told.genomes([self._holder])[0].tolist()
        self._round += 1
        self._tried = None

    def state(self) -> dict[str, Any]:
        """Return what was chosen so far, and how many rounds are done."""
        return {"current": self._current, "holder": self._holder, "round": self._round}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._told.add(history)
        self._current = None if state["current"] is None else [int(level) for level in state["current"]]
        self._holder, self._round = int(state["holder"]), int(state["round"])
