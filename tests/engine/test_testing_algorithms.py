"""The conformance checks of algorithms: an honest one passes them, each broken promise fails its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from emoprune.contracts import Objective
from emoprune.contracts.algorithm import Algorithm, Breeding, Measured, Proposed
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space
from emoprune.testing import AlgorithmConformance


class Walker:
    """Asks for mutants of the candidate measured last."""

    turn: int | None = 3
    ended: str | None = None

    def check(self, objectives: Sequence[Objective]) -> None:
        """Any objectives will do."""

    def begin(self, breeding: Breeding) -> None:
        self.breeding = breeding
        self.last = -1
        self.genome = breeding.space.full

    @property
    def population(self) -> IntArray:
        return np.array([self.last] if self.last >= 0 else [], dtype=np.int64)

    def ask(self, rng: np.random.Generator) -> Proposed:
        mutants = self.breeding.mutated(np.tile(self.genome, (8, 1)))
        return Proposed.parentless(mutants[self.breeding.first_new(mutants, 3)])

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        if len(measured):
            self.last, self.genome = int(measured.ids[-1]), measured.genomes[-1]

    def state(self) -> Mapping[str, Any]:
        return {"last": self.last, "genome": self.genome.tolist()}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        self.last, self.genome = int(state["last"]), np.array(state["genome"], dtype=np.int64)


class Forgetful(Walker):
    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        self.last, self.genome = int(state["last"]), self.breeding.space.full


class Unseeded(Walker):
    def ask(self, rng: np.random.Generator) -> Proposed:
        space = self.breeding.space
        drawn = np.random.default_rng().integers(0, space.levels, (8, len(space)))
        legal = self.breeding.repaired(drawn)
        return Proposed.parentless(legal[self.breeding.first_new(legal, 3)])


class Repeating(Walker):
    def ask(self, rng: np.random.Generator) -> Proposed:
        return Proposed.parentless(self.breeding.space.full[None, :])


class Stale(Walker):
    """Proposes what was new when it was told, one turn too early."""

    found: IntArray | None = None

    def ask(self, rng: np.random.Generator) -> Proposed:
        return super().ask(rng) if self.found is None else Proposed.parentless(self.found)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        super().tell(measured, rng)
        self.found = self.breeding.sampled(2)


class Doubling(Walker):
    def ask(self, rng: np.random.Generator) -> Proposed:
        return Proposed.parentless(np.tile(self.breeding.sampled(1), (2, 1)))


class Choosy(Walker):
    """Finds more than it proposes."""

    def ask(self, rng: np.random.Generator) -> Proposed:
        mutants = self.breeding.mutated(np.tile(self.genome, (8, 1)))
        return Proposed.parentless(mutants[self.breeding.first_new(mutants, 8)][:2])


class Careless(Walker):
    def ask(self, rng: np.random.Generator) -> Proposed:
        new = self.breeding.sampled(3)
        return Proposed.parentless(new + self.breeding.space.levels)


class Breeder(Walker):
    """Breeds from a candidate that failed."""

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        super().tell(measured, rng)
        self.last = 6


class Whimsical(Walker):
    """Lets others go on each time it is asked."""

    asked = 0

    def going_on(self, grade: int, measured: Measured) -> IntArray:
        self.asked += 1
        return measured.ids[: self.asked]


class Strange(Walker):
    def going_on(self, grade: int, measured: Measured) -> IntArray:
        return measured.ids + 1000


def case_of(make: Callable[[], Algorithm], spaces: Sequence[Space] | None = None) -> AlgorithmConformance:
    class Case(AlgorithmConformance):
        def algorithm(self) -> Algorithm:
            return make()

        def spaces(self) -> Sequence[Space]:
            return super().spaces() if spaces is None else spaces

    return Case()


class TestWalker(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return Walker()


class TestChoosy(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return Choosy()


REPEATED = "test_proposals_are_legal_and_never_repeated"
GOING_ON = "test_who_goes_on_is_among_those_proposed_and_the_same_when_asked_again"
RESTORED = "test_a_restored_one_goes_on_exactly_as_the_uninterrupted_one"


@pytest.mark.parametrize(
    ("make", "check", "complaint"),
    [
        (Forgetful, RESTORED, "restore after generation 0: expected the course that was not cut"),
        (Unseeded, "test_the_same_seed_gives_the_same_course", "expected equal proposals from equal generators"),
        (Repeating, REPEATED, "expected genomes that were never proposed before, each of them once, found 1 of 1"),
        (Stale, REPEATED, "found 2 of 2 that did not come from first_new, sampled or offspring in this ask"),
        (Doubling, REPEATED, "each of them once, found 1 of 2"),
        (Careless, REPEATED, "genomes are illegal"),
        (Whimsical, GOING_ON, "going_on: expected the same ids again"),
        (Strange, GOING_ON, "going_on: expected ids of those proposed last"),
        (Breeder, "test_the_population_is_made_of_what_was_measured", "expected ids that were told"),
    ],
)
def test_an_algorithm_that_breaks_a_promise_fails_its_check(
    make: Callable[[], Algorithm], check: str, complaint: str
) -> None:
    with pytest.raises(ContractError, match=complaint):
        getattr(case_of(make, [Space.bits(24)]), check)()


def test_a_case_without_an_algorithm_says_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="override algorithm"):
        AlgorithmConformance().test_the_same_seed_gives_the_same_course()
