"""Mutation: how many genes change, which, and to what."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts, generators, spaces

from emoprune.contracts import Mutation
from emoprune.errors import ConfigError
from emoprune.operators.mutation import ByKindMutation, FlipMutation, ResampleMutation, StepMutation
from emoprune.space import GeneKind, Space
from emoprune.testing import MutationConformance, legal_genomes

OF_KIND = {GeneKind.BIT: FlipMutation, GeneKind.ORDERED: StepMutation, GeneKind.CATEGORY: ResampleMutation}
ALL = (*OF_KIND.values(), ByKindMutation)
rates = st.none() | st.sampled_from((0.0, 1e-12, 0.03, 0.5, 1.0))


class TestFlipMutation(MutationConformance):
    def operator(self) -> Mutation:
        return FlipMutation()


class TestStepMutation(MutationConformance):
    def operator(self) -> Mutation:
        return StepMutation(reach=None)


class TestResampleMutation(MutationConformance):
    def operator(self) -> Mutation:
        return ResampleMutation()


class TestByKindMutation(MutationConformance):
    def operator(self) -> Mutation:
        return ByKindMutation(rate=0.5)


@given(spaces(), counts, generators, rates, st.tuples(st.sampled_from(GeneKind), st.booleans()))
def test_a_mutation_changes_free_genes_of_its_kind_alone(
    space: Space, count: int, rng: np.random.Generator, rate: float | None, choice: tuple[GeneKind, bool]
) -> None:
    kind, at_least_one = choice
    genomes = legal_genomes(space, count, rng)
    mutated = OF_KIND[kind](rate, at_least_one=at_least_one)(space, genomes, rng)
    changed = (mutated != genomes).any(axis=0)
    assert not (changed & ~(space.free & space.of_kind(kind))).any()
    assert ((mutated >= 0) & (mutated < space.levels)).all()


@given(spaces(), counts, generators, rates)
def test_a_locked_gene_never_changes(space: Space, count: int, rng: np.random.Generator, rate: float | None) -> None:
    genomes = legal_genomes(space, count, rng)
    mutated = ByKindMutation(rate)(space, genomes, rng)
    assert (mutated == genomes)[:, ~space.free].all()


@given(spaces(), counts, generators, rates)
def test_every_genome_changes_if_one_gene_must_and_any_may(
    space: Space, count: int, rng: np.random.Generator, rate: float | None
) -> None:
    genomes = legal_genomes(space, count, rng)
    changed = (ByKindMutation(rate, at_least_one=True)(space, genomes, rng) != genomes).any(axis=1)
    assert (changed == space.free.any()).all()


@given(spaces(), counts, generators, st.integers(1, 5))
def test_an_ordered_gene_moves_by_no_more_than_its_reach(
    space: Space, count: int, rng: np.random.Generator, reach: int
) -> None:
    genomes = legal_genomes(space, count, rng)
    mutated = StepMutation(1.0, reach)(space, genomes, rng)
    assert (np.abs(mutated - genomes) <= reach).all()


@given(spaces(), counts, generators)
def test_at_rate_1_every_free_gene_changes(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = legal_genomes(space, count, rng)
    assert ((ByKindMutation(1.0)(space, genomes, rng) != genomes) == space.free).all()


@given(spaces(), counts, generators)
def test_at_rate_0_nothing_changes_if_nothing_must(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = legal_genomes(space, count, rng)
    assert (ByKindMutation(0.0)(space, genomes, rng) == genomes).all()


@pytest.mark.parametrize("rate", [0.005, 0.05, 0.099, 0.1, 0.4])
def test_the_rate_is_the_share_of_genes_that_change_independently(rate: float) -> None:
    changes = FlipMutation(rate)(Space.bits(100), np.zeros((4000, 100), dtype=np.int64), np.random.default_rng(1))
    error = 5 * math.sqrt(rate * (1 - rate))  # five standard errors, over the root of how many are averaged
    assert changes.mean() == pytest.approx(rate, abs=error / math.sqrt(400_000))
    assert changes.mean(axis=0) == pytest.approx(np.full(100, rate), abs=error / math.sqrt(4000))
    variance = 100 * rate * (1 - rate)
    assert changes.sum(axis=1).var() == pytest.approx(variance, rel=0.15)  # of a binomial; fourth moments are wide


def test_without_a_rate_one_free_gene_changes_on_average() -> None:
    space = Space.bits(50)
    genomes = np.zeros((5000, 50), dtype=np.int64)
    changes = FlipMutation()(space, genomes, np.random.default_rng(1)).sum(axis=1)
    assert changes.mean() == pytest.approx(1.0, abs=0.07)  # five standard errors of 5,000 genomes
    assert (changes == 0).mean() == pytest.approx(math.exp(-1), abs=0.04)  # what at_least_one is there for


def test_a_genome_without_a_hit_gets_exactly_one_anywhere() -> None:
    changes = FlipMutation(0.0, at_least_one=True)(
        Space.bits(10), np.zeros((5000, 10), dtype=np.int64), np.random.default_rng(1)
    )
    assert (changes.sum(axis=1) == 1).all()
    assert changes.mean(axis=0) == pytest.approx(np.full(10, 0.1), abs=0.022)  # five standard errors


@pytest.mark.parametrize(
    ("level", "reach", "expected"),
    [(0, 1, {1}), (3, 1, {2, 4}), (7, 1, {6}), (0, 3, {1, 2, 3}), (6, 3, {3, 4, 5, 7}), (0, None, {1, 2})],
)
def test_steps_go_to_every_level_within_reach_equally_often(level: int, reach: int | None, expected: set[int]) -> None:
    space = Space.ordered([("layer", 8)])
    genomes = np.full((4000, 1), level)
    used = np.bincount(StepMutation(1.0, reach)(space, genomes, np.random.default_rng(1))[:, 0], minlength=8)
    assert set(np.flatnonzero(used).tolist()) == expected
    assert used[list(expected)] / 4000 == pytest.approx(1 / len(expected), abs=0.04)  # five standard errors


@given(spaces(), st.integers(1, 3), generators)
def test_categories_reach_every_other_category(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = np.repeat(legal_genomes(space, count, rng), 200, axis=0)
    mutated = ResampleMutation(1.0)(space, genomes, rng)
    for gene in np.flatnonzero(space.free & space.of_kind(GeneKind.CATEGORY) & (space.levels <= 7)):
        for block in range(0, len(genomes), 200):
            used = set(mutated[block : block + 200, gene].tolist())
            assert used == set(range(space.levels[gene])) - {genomes[block, gene]}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_that_is_no_probability_is_refused(kind: Callable[[float], Mutation], rate: float) -> None:
    with pytest.raises(ConfigError, match=f"Mutation: expected rate between 0 and 1, found {rate}"):
        kind(rate)


@pytest.mark.parametrize("kind", [StepMutation, ByKindMutation])
def test_a_reach_of_no_level_is_refused(kind: type[StepMutation]) -> None:
    with pytest.raises(ConfigError, match="Mutation: expected a reach of at least 1 level, found 0"):
        kind(reach=0)
