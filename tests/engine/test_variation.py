"""New genomes only, legal always, and a small space searched to its last genome."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.contracts.algorithm import Parents
from emoprune.errors import ContractError
from emoprune.evolution.duplicates import Duplicates
from emoprune.evolution.variation import Operators, Variation, tournament
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import RandomSampling
from emoprune.operators.seeding import Plain
from emoprune.space import Gene, Group, IntArray, Space


class WithoutLastGene:
    """A canonical form in which the last gene means nothing."""

    def canonical(self, genomes: IntArray) -> IntArray:
        blank = genomes.copy()
        blank[:, -1] = 0
        return blank


def operators(canonical: WithoutLastGene | None = None, repaired: bool = True) -> Operators:
    repairs = (Legal(),) if repaired else ()
    return Operators(RandomSampling(), Plain(), UniformCrossover(), ByKindMutation(), repairs, canonical)


def variation(space: Space, seed: int = 1, canonical: WithoutLastGene | None = None) -> Variation:
    return Variation(space, operators(canonical), Duplicates(space), np.random.default_rng(seed))


def parents_of(genomes: IntArray, seed: int = 3) -> Parents:
    count = len(genomes)
    objectives = np.random.default_rng(seed).random((count, 2))
    return Parents(np.arange(count), genomes, objectives, np.zeros(count), np.full(count, np.nan))


def test_no_genome_is_ever_made_twice() -> None:
    space = Space.bits(10)
    maker = variation(space)
    made = [maker.initial(np.zeros((0, 10), dtype=np.int64), 60)]
    for _ in range(10):
        made.append(maker.offspring(parents_of(made[0]), 60).genomes)
    keys = space.keys(np.concatenate(made))
    assert len(keys) == 660
    assert len(set(keys)) == 660


def test_a_small_space_is_searched_to_its_last_genome_and_then_nothing_comes_back() -> None:
    space = Space.ordered([("a", 3), ("b", 4), ("c", 5)])
    maker = variation(space)
    first = maker.initial(np.zeros((0, 3), dtype=np.int64), 40)
    rest = maker.offspring(parents_of(first), 40).genomes
    nothing = maker.offspring(parents_of(first), 40)
    assert len(first) == 40
    assert len(rest) == 20
    assert len({*space.keys(first), *space.keys(rest)}) == space.size == 60
    assert nothing.genomes.shape == (0, 3)
    assert nothing.parents.shape == (0, 2)


def test_only_a_space_that_was_gone_through_counts_as_exhausted() -> None:
    small = variation(Space.bits(3))
    assert len(small.sampled(8)) == 8
    assert not small.exhausted
    assert len(small.sampled(1)) == 0
    assert small.exhausted
    locked = Space(tuple(Gene(f"gene{i}", locked=0 if i > 2 else None) for i in range(40)))
    assert len(variation(locked).sampled(20)) == 8
    floored = variation(Space.bits(40, groups=[Group("all", tuple(range(40)), floor=40)]))
    assert len(floored.sampled(5)) == 1
    assert not floored.exhausted  # of 2^40 genomes one is legal, but nobody has looked


def test_only_canonical_genomes_of_a_small_space_are_made() -> None:
    space = Space.bits(5)
    maker = variation(space, canonical=WithoutLastGene())
    made = maker.initial(np.zeros((0, 5), dtype=np.int64), 32)
    assert len(made) == 16
    assert not made[:, -1].any()


def test_floors_hold_in_every_offspring() -> None:
    space = Space.bits(
        12, groups=[Group("first", tuple(range(6)), floor=4), Group("last", tuple(range(6, 12)), floor=1)]
    )
    maker = variation(space)
    first = maker.initial(np.zeros((0, 12), dtype=np.int64), 50)
    children = maker.offspring(parents_of(first), 50).genomes
    assert space.legal(np.concatenate([first, children])).all()


def test_parents_of_every_mated_child_are_in_the_population() -> None:
    space = Space.bits(30)
    maker = variation(space)
    first = maker.initial(np.zeros((0, 30), dtype=np.int64), 20)
    children = maker.offspring(parents_of(first), 20)
    assert len(children) == 20
    assert np.isin(children.parents, np.arange(20)).all()


@given(seed=st.integers(0, 1000))
def test_the_same_generator_state_makes_the_same_offspring(seed: int) -> None:
    first, second = (variation(Space.bits(20), seed).initial(np.zeros((0, 20), dtype=np.int64), 10) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_operator_that_makes_illegal_genomes_is_named() -> None:
    space = Space.bits(6, groups=[Group("all", tuple(range(6)), floor=6)])
    maker = Variation(space, operators(repaired=False), Duplicates(space), np.random.default_rng(1))
    with pytest.raises(ContractError, match=r"sampling.*illegal.*add a repair"):
        maker.initial(np.zeros((0, 6), dtype=np.int64), 5)


def winner(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> set[int]:
    """Return who wins among two contestants given as (objective, objective, violation, crowding), over many coins."""
    both = np.array([first, second])
    parents = Parents(np.arange(2), np.zeros((2, 1), dtype=np.int64), both[:, :2], both[:, 2], both[:, 3])
    return set(tournament(parents, 64, np.random.default_rng(1)).tolist())


def test_the_tournament_prefers_the_dominating() -> None:
    assert winner((0, 0, 0, 0), (0, 1, 0, 9)) == {0}
    assert winner((1, 1, 0, 9), (1, 0, 0, 0)) == {1}


def test_the_tournament_prefers_the_less_crowded_among_incomparable() -> None:
    assert winner((0, 1, 0, 0.5), (1, 0, 0, np.inf)) == {1}


def test_the_tournament_prefers_the_feasible_and_then_the_less_violating() -> None:
    assert winner((0, 0, 0.1, 9), (5, 5, 0, 0)) == {1}
    assert winner((9, 9, 0.1, 0), (0, 0, 0.2, 9)) == {0}


def test_the_tournament_tosses_a_coin_among_equals() -> None:
    assert winner((1, 1, 0, np.nan), (1, 1, 0, np.nan)) == {0, 1}


def test_everyone_enters_the_tournament_equally_often() -> None:
    genomes = np.zeros((8, 1), dtype=np.int64)
    ladder = Parents(np.arange(8), genomes, np.arange(8.0)[:, None].repeat(2, axis=1), np.zeros(8), np.zeros(8))
    won = tournament(ladder, 8, np.random.default_rng(2))
    assert (won == 0).sum() == 2  # the best one wins both of its two meetings
    assert (won == 7).sum() == 0  # the worst one neither
