"""Repair: always legal afterwards, as little changed as possible, costs within the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import any_genomes, counts, generators, genomes_in_range, spaces

from emoprune.contracts import Repair
from emoprune.errors import ConfigError
from emoprune.operators.cost import CostBound, cost
from emoprune.operators.repair import Floors, Legal, LockedGenes, SlotOrder
from emoprune.space import FREE, Gene, GeneKind, Group, Space
from emoprune.testing import RepairConformance, legal_genomes

shares = st.floats(0.0, 1.0)


class TestLegal(RepairConformance):
    makes_legal = True
    keeps_locks = True

    def operator(self) -> Repair:
        return Legal()


class TestLockedGenes(RepairConformance):
    keeps_locks = True

    def operator(self) -> Repair:
        return LockedGenes()


class TestFloors(RepairConformance):
    def spaces(self) -> tuple[Space, ...]:
        groups = (Group("a", tuple(range(8)), floor=3), Group("b", tuple(range(4, 12)), floor=5))
        return (Space.bits(12, groups=groups),)

    makes_legal = True

    def operator(self) -> Repair:
        return Floors()


class TestSlotOrder(RepairConformance):
    def operator(self) -> Repair:
        return SlotOrder()


class TestCostBound(RepairConformance):
    def operator(self) -> Repair:
        return CostBound(0.5)


@given(spaces(), counts, generators)
def test_whatever_comes_in_legal_genomes_come_out(space: Space, count: int, rng: np.random.Generator) -> None:
    assert space.legal(Legal()(space, any_genomes(space, count, rng), rng)).all()


@given(spaces(), counts, generators)
def test_a_legal_genome_stays_as_it_is(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = legal_genomes(space, count, rng)
    assert (Legal()(space, genomes, rng) == genomes).all()


@given(spaces(), counts, generators)
def test_locks_change_locked_genes_alone(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = genomes_in_range(space, count, rng)
    repaired = LockedGenes()(space, genomes, rng)
    assert (repaired == np.where(space.locked == FREE, genomes, space.locked)).all()


@given(spaces(), counts, generators)
def test_floors_hold_and_nothing_was_turned_off(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = LockedGenes()(space, genomes_in_range(space, count, rng), rng)
    repaired = Floors()(space, genomes, rng)
    for group in space.groups:
        assert ((repaired[:, list(group.genes)] > 0).sum(axis=1) >= group.floor).all()
    assert ((repaired == genomes) | ((genomes == 0) & (repaired > 0))).all()
    assert ((repaired == genomes) | space.free).all()
    assert (repaired < space.levels).all()


@given(st.integers(1, 12), st.data(), generators)
def test_a_floor_turns_on_exactly_what_is_missing(bits: int, data: st.DataObject, rng: np.random.Generator) -> None:
    floor = data.draw(st.integers(0, bits))
    space = Space.bits(bits, groups=[Group("all", tuple(range(bits)), floor=floor)])
    genomes = genomes_in_range(space, 20, rng)
    assert (Floors()(space, genomes, rng).sum(axis=1) == np.maximum(genomes.sum(axis=1), floor)).all()


def test_floors_turn_on_every_gene_of_a_group_equally_often() -> None:
    space = Space.bits(10, groups=[Group("all", tuple(range(10)), floor=2)])
    repaired = Floors()(space, np.zeros((5000, 10), dtype=np.int64), np.random.default_rng(1))
    assert repaired.mean(axis=0) == pytest.approx(np.full(10, 0.2), abs=0.03)  # five standard errors


def test_a_floor_takes_the_lowest_size_and_any_category() -> None:
    genes = (Gene("layer", 9, GeneKind.ORDERED), Gene("word", 9, GeneKind.CATEGORY))
    space = Space(genes, (Group("both", (0, 1), floor=2),))
    repaired = Floors()(space, np.zeros((500, 2), dtype=np.int64), np.random.default_rng(1))
    assert set(repaired[:, 0].tolist()) == {1}
    assert set(repaired[:, 1].tolist()) == set(range(1, 9))


def test_genomes_that_name_the_same_set_become_one() -> None:
    genes = tuple(Gene(f"slot{i}", 9, GeneKind.CATEGORY) for i in range(3))
    space = Space((Gene("bit"), *genes), (Group("set", (1, 2, 3), interchangeable=True),))
    same = np.array([[1, 7, 0, 2], [1, 0, 2, 7], [1, 2, 7, 0]])
    assert SlotOrder()(space, same, np.random.default_rng(1)).tolist() == 3 * [[1, 0, 2, 7]]


@given(spaces(), counts, generators, shares)
def test_a_bound_keeps_genomes_legal_and_affordable_or_names_the_least_share(
    space: Space, count: int, rng: np.random.Generator, share: float
) -> None:
    genomes = legal_genomes(space, count, rng)
    budget = share * cost(space, space.full[None])[0]
    try:
        bounded = CostBound(share)(space, genomes, rng)
    except ConfigError as error:
        least = float(str(error).split("least reachable share is ")[1].split(":")[0])
        assert share < least
        assert space.legal(CostBound(min(1.0, least + 1e-6))(space, genomes, rng)).all()
    else:
        assert space.legal(bounded).all()
        assert (cost(space, bounded) <= budget).all()


@given(spaces(), counts, generators, shares)
def test_a_genome_within_the_bound_stays_as_it_is(
    space: Space, count: int, rng: np.random.Generator, share: float
) -> None:
    genomes = legal_genomes(space, count, rng)
    within = genomes[cost(space, genomes) <= share * cost(space, space.full[None])[0]]
    assume(len(within) > 0)
    assert (CostBound(share)(space, within, rng) == within).all()


@given(spaces(), counts, generators, shares)
def test_a_bound_never_raises_a_level_of_a_genome_without_floors(
    space: Space, count: int, rng: np.random.Generator, share: float
) -> None:
    floorless = Space(space.genes, (), space.costs)
    assume(cost(floorless, np.where(space.free, 0, space.full)[None])[0] <= share * cost(space, space.full[None])[0])
    genomes = legal_genomes(floorless, count, rng)
    bounded = CostBound(share)(floorless, genomes, rng)
    assert (bounded <= genomes).all()
    assert (bounded == genomes)[:, floorless.costs == 0].all()


def test_a_bound_removes_no_more_than_it_must() -> None:
    costs = np.arange(1.0, 101.0)
    space = Space(tuple(Gene(f"bit{i}") for i in range(100)), costs=costs)
    bounded = CostBound(0.3)(space, np.ones((300, 100), dtype=np.int64), np.random.default_rng(1))
    left = cost(space, bounded) / costs.sum()
    assert (left <= 0.3).all()
    assert (left > 0.3 - 100 / costs.sum()).all()


def test_a_bound_prunes_every_gene_sometimes_and_none_always() -> None:
    space = Space(tuple(Gene(f"bit{i}") for i in range(20)), costs=np.ones(20))
    kept = CostBound(0.5)(space, np.ones((1000, 20), dtype=np.int64), np.random.default_rng(1))
    assert kept.mean(axis=0) == pytest.approx(np.full(20, 0.5), abs=0.08)  # five standard errors


def test_a_bound_narrows_layers_instead_of_emptying_a_few() -> None:
    space = Space(tuple(Gene(f"layer{i}", 17, GeneKind.ORDERED) for i in range(30)), costs=np.ones(30))
    bounded = CostBound(0.7)(space, np.full((100, 30), 16), np.random.default_rng(1))
    assert (bounded == 0).mean() < 0.1
    assert ((bounded > 0) & (bounded < 16)).mean() > 0.4


def test_a_bound_swaps_dear_genes_for_cheap_ones_where_a_floor_leaves_no_other_way() -> None:
    genes = tuple(Gene(f"bit{i}") for i in range(3))
    space = Space(genes, (Group("one", (0, 1, 2), floor=1),), np.array([10.0, 10.0, 1.0]))
    bounded = CostBound(0.1)(space, np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]]), np.random.default_rng(1))
    assert bounded.tolist() == 3 * [[0, 0, 1]]


def test_an_impossible_bound_names_the_least_reachable_share() -> None:
    genes = (Gene("kept", locked=1), Gene("a"), Gene("b"), Gene("c"))
    space = Space(genes, (Group("two", (1, 2, 3), floor=2),), np.array([4.0, 1.0, 2.0, 3.0]))
    with pytest.raises(ConfigError, match=r"found 0\.5; the least reachable share is 0\.7: raise the share"):
        CostBound(0.5)(space, space.full[None], np.random.default_rng(1))


def test_a_bound_without_costs_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a space with a cost per gene, found none; leave this repair out"):
        CostBound(0.5)(Space.bits(3), np.ones((1, 3), dtype=np.int64), np.random.default_rng(1))


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_bound_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=f"CostBound: expected share between 0 and 1, found {share}"):
        CostBound(share)
