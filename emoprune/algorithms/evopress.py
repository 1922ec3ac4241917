"""One parent, many children that keep its size, chosen in steps with more and more data: the loop of EvoPress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.algorithms.single_objective import SingleObjective
from emoprune.contracts import Paper, about
from emoprune.contracts.algorithm import NO_PARENT, Measured, Proposed
from emoprune.errors import ConfigError
from emoprune.space import IntArray

__all__ = ["EvoPress"]

EVOPRESS = Paper("EvoPress: Accurate Dynamic Model Compression via Evolutionary Search", "2410.14649")
IDLE = 30  # times that children are made anew before the search counts as exhausted


@about("search", ["genomes"], cost="mutations of one parent", papers=[EVOPRESS])
class EvoPress(SingleObjective):
    """Let mutants of the one parent replace it if one of them is better.

    Where a problem measures block by block, children are chosen in steps: after each grade only the best so many go on,
    whatever the statistics say. Set the mutation to `level-switch`, and bound the size with the repair `cost-bound` or
    begin from one size: one run finds one size, as the published code does. There each step draws other data for all
    candidates, and the parent joins the last step only; here data are the same for all, and the parent keeps what was
    measured of it in full. Children are never measured twice.

    Source: EvoPress: Accurate Dynamic Model Compression via Evolutionary Search (arXiv 2410.14649).

    Args:
        objective: What is made better; the problem's first by default.
        offspring: How many children a generation has.
        survivors: How many of them go on after each grade but the last; the last number counts for all later ones.
    """

    def __init__(self, objective: str | None = None, *, offspring: int = 64, survivors: Sequence[int] = (8, 2)) -> None:
        if offspring < 1 or not survivors or min(survivors) < 1:
            raise ConfigError(
                f"evopress: expected offspring and survivors of 1 or more, found {offspring}, {list(survivors)}"
            )
        super().__init__("evopress", objective)
        self._offspring = offspring
        self._survivors = tuple(survivors)
        self._parent: int | None = None

    @property
    def turn(self) -> int | None:
        """How many children there are."""
        return self._offspring

    @property
    def population(self) -> IntArray:
        """The parent."""
        return np.array([] if self._parent is None else [self._parent], dtype=np.int64)

    def ask(self, rng: np.random.Generator) -> Proposed:  # noqa: ARG002  # mutations draw from the search's generator
        """Return mutants of the parent that were never measured; none if hardly any can be made any more."""
        if self._parent is None:
            return self._nothing()
        made: list[IntArray] = []
        for _ in range(IDLE):
            missing = self._offspring - sum(map(len, made))
            if missing == 0:
                break
            children = self._search.mutated(self._told.genomes([self._parent] * missing))
            made.append(children[self._search.first_new(children, missing)])
        genomes = np.concatenate([self._nothing().genomes, *made])
        return Proposed(genomes, np.tile([self._parent, NO_PARENT], (len(genomes), 1)))

    def going_on(self, grade: int, measured: Measured) -> IntArray:
        """Return the ids of the best so many, by what was measured of them so far."""
        place = self._place(self._search.objectives)
        order = np.lexsort([measured.ids, measured.objectives[:, place], measured.violation])
        return measured.ids[order[: self._survivors[min(grade, len(self._survivors) - 1)]]]

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:  # noqa: ARG002  # nothing is drawn here
        """Let the best of parent and children be the parent; of equals the parent stays."""
        self._told.add(measured)
        # A child that was given up is none of those chosen, however little it breaks a bound.
        whole = measured.ids if measured.noise is None else measured.ids[measured.noise.shares == 1]
        everyone = [*([] if self._parent is None else [self._parent]), *whole.tolist()]
        self._parent = self._told.sorted(everyone)[0] if everyone else None

    def state(self) -> dict[str, Any]:
        """Return the parent."""
        return {"parent": self._parent}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._told.add(history)
        self._parent = None if state["parent"] is None else int(state["parent"])
