"""What every algorithm promises, as checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Objective
from emoprune.contracts.algorithm import Algorithm, Measured, Selecting
from emoprune.evolution.ask_tell import Evolution, Offspring
from emoprune.evolution.variation import Operators
from emoprune.plugins import build
from emoprune.space import IntArray, Space
from emoprune.testing.promises import require
from emoprune.testing.samples import sample_spaces

__all__ = ["AlgorithmConformance"]

POPULATION = 12


@dataclass(slots=True, eq=False)
class Course:
    """An algorithm at work on made-up values, and everything it proposed and was told."""

    evolution: Evolution
    objectives: int
    turns: list[Offspring] = field(default_factory=list)
    told: list[Measured] = field(default_factory=list)

    def turn(self) -> None:
        """Ask once and tell values that depend on nothing but the genomes; every seventh candidate fails."""
        space = self.evolution.space
        asked = self.evolution.ask() if self.turns else self.evolution.begin(space.full[None, :], ["reference"])
        self.turns.append(asked)
        rows = np.flatnonzero(asked.ids % 7 != 6)
        values = _values(space, asked.genomes[rows], self.objectives)
        violation = np.where(asked.ids[rows] % 5 == 4, 0.25, 0.0)
        self.evolution.tell(rows, values, violation)
        self.told.append(Measured(asked.ids[rows], asked.genomes[rows], values, violation))

    @property
    def asked(self) -> IntArray:
        """All genomes that were asked for, shape (n, genes)."""
        return np.concatenate([each.genomes for each in self.turns])

    @property
    def history(self) -> Measured:
        """All that was told."""
        return Measured.joined(self.told)


def _values(space: Space, genomes: IntArray, objectives: int) -> NDArray[np.float64]:
    shares = genomes / np.maximum(1, space.levels - 1)
    weights = np.random.default_rng(7).random((objectives, len(space)))
    weights[0] *= -1.0
    return np.asarray(shares @ weights.T)


class AlgorithmConformance:
    """Checks of an algorithm; override `algorithm`.

    Attributes:
        objectives: How many objectives it is tried with.
        turns: How many generations; the course is cut, saved and restored after every one of them.
    """

    objectives: int = 2
    turns: int = 5

    def algorithm(self) -> Algorithm:
        """Return the algorithm to check, a new one each time."""
        raise NotImplementedError("override algorithm(self): return the algorithm to check")

    def spaces(self) -> Sequence[Space]:
        """Return the spaces to try it on; override for an algorithm that is made for some spaces only."""
        return sample_spaces()

    def operators(self) -> Operators:
        """Return the operators to try it with; override for an algorithm that needs others."""
        return Operators(
            build("sampling", "random", {}),
            build("seeding", "plain", {}),
            build("crossover", "uniform", {}),
            build("mutation", "by-kind", {}),
            (build("repair", "legal", {}),),
        )

    def test_proposals_are_legal_and_never_repeated(self) -> None:
        """No genome is paid for twice."""
        for space in self.spaces():
            course = self._course(space)
            keys = space.keys(space.check(course.asked, "algorithm"))
            require(len(set(keys)) == len(keys), "ask: expected every genome once", f"{len(keys)} of {len(set(keys))}")

    def test_the_same_seed_gives_the_same_course(self) -> None:
        """All randomness comes from the generator that is passed."""
        for space in self.spaces():
            same = np.array_equal(self._course(space).asked, self._course(space).asked)
            require(same, "ask: expected equal proposals from equal generators", "different ones")

    def test_a_restored_one_goes_on_exactly_as_the_uninterrupted_one(self) -> None:
        """A run resumes to the bit, from any generation, with a state that went through JSON."""
        for space in self.spaces():
            whole = self._course(space)
            for cut in range(1, self.turns):
                before = self._course(space, cut)
                state = json.loads(json.dumps(before.evolution.state(), allow_nan=False))
                after = Course(self._evolution(space, seed=99), self.objectives, before.turns, before.told)
                after.evolution.restore(state, before.asked, before.history)
                for _ in range(self.turns - cut):
                    after.turn()
                same = np.array_equal(after.asked, whole.asked) and after.evolution.state() == whole.evolution.state()
                require(same, f"restore after generation {cut - 1}: expected the course that was not cut", "another")

    def test_the_population_is_made_of_what_was_measured(self) -> None:
        """A failed candidate never breeds."""
        for space in self.spaces():
            course = self._course(space)
            strangers = set(course.evolution.population.tolist()) - set(course.history.ids.tolist())
            require(not strangers, "population: expected ids that were told", sorted(strangers))

    def test_who_goes_on_is_among_those_proposed_and_the_same_when_asked_again(self) -> None:
        """A resumed search asks again, with a state that was restored; most algorithms are not asked at all."""
        if not isinstance(self.algorithm(), Selecting):
            return
        for space in self.spaces():
            course = self._course(space)
            state = json.loads(json.dumps(course.evolution.state(), allow_nan=False))
            again = self._evolution(space, seed=99)
            again.restore(state, course.asked, course.history)
            found = [self._going_on(each) for each in (course.evolution, again)]
            asked, going, _ = found[0]
            require(going <= asked, "going_on: expected ids of those proposed last", sorted(going - asked))
            require(found == [(asked, going, going)] * 2, "going_on: expected the same ids again", found)

    def _going_on(self, evolution: Evolution) -> tuple[set[int], set[int], set[int]]:
        """Return the ids proposed next, and those that go on after the first grade, asked twice."""
        asked = evolution.ask()
        values = _values(evolution.space, asked.genomes, self.objectives)
        rows, violation = np.arange(len(asked)), np.zeros(len(asked))
        first, second = (evolution.going_on(0, rows, values, violation) for _ in range(2))
        return set(asked.ids.tolist()), first, second

    def _course(self, space: Space, turns: int | None = None) -> Course:
        course = Course(self._evolution(space), self.objectives)
        for _ in range(self.turns if turns is None else turns):
            course.turn()
        return course

    def _evolution(self, space: Space, seed: int = 1) -> Evolution:
        named = [Objective(f"objective{number}") for number in range(self.objectives)]
        operators, rng = self.operators(), np.random.default_rng(seed)
        return Evolution("algorithm", self.algorithm(), space, operators, rng, objectives=named, population=POPULATION)
