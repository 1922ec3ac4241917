"""Crossover: what children take from which parent, and how often pairs are crossed at all."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts, generators, genomes_in_range, spaces

from emoprune.contracts import Crossover
from emoprune.errors import ConfigError
from emoprune.operators.crossover import OnePointCrossover, TwoPointCrossover, UniformCrossover
from emoprune.operators.overlap import MaskIntersection
from emoprune.space import GeneKind, IntArray, Space
from emoprune.testing import CrossoverConformance

KINDS = (UniformCrossover, OnePointCrossover, TwoPointCrossover)
GENES = 40


class TestUniformCrossover(CrossoverConformance):
    def operator(self) -> Crossover:
        return UniformCrossover()


class TestOnePointCrossover(CrossoverConformance):
    def operator(self) -> Crossover:
        return OnePointCrossover()


class TestMaskIntersection(CrossoverConformance):
    def operator(self) -> Crossover:
        return MaskIntersection()


class TestTwoPointCrossover(CrossoverConformance):
    def operator(self) -> Crossover:
        return TwoPointCrossover()


def crossed(crossover: Crossover, pairs: int, genes: int = GENES) -> IntArray:
    """Cross parents of all zeros with parents of all ones: each child shows where its genes come from."""
    parents = np.stack([np.zeros((pairs, genes), dtype=np.int64), np.ones((pairs, genes), dtype=np.int64)])
    return crossover(Space.bits(genes), parents, np.random.default_rng(1))


@given(spaces(), counts, generators, st.sampled_from(KINDS))
def test_two_children_share_out_the_genes_of_their_parents(
    space: Space, pairs: int, rng: np.random.Generator, kind: Callable[[], Crossover]
) -> None:
    parents = genomes_in_range(space, 2 * pairs, rng).reshape(2, pairs, len(space))
    children = kind()(space, parents, rng)
    kept, exchanged = (children == parents).all(axis=0), (children == parents[::-1]).all(axis=0)
    assert (kept | exchanged).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_rate_is_the_share_of_pairs_that_are_crossed(kind: Callable[[float], Crossover], rate: float) -> None:
    first, _ = crossed(kind(rate), pairs=2000)
    changed = first.any(axis=1).mean()
    assert changed == pytest.approx(rate, abs=0.05)  # five standard errors of 2,000 pairs


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_that_of_genes_exchanged(share: float) -> None:
    first, second = crossed(UniformCrossover(1.0, share), pairs=500)
    assert first.mean() == pytest.approx(share, abs=0.02)  # five standard errors of 20,000 genes
    assert (first + second == 1).all()


def test_one_point_exchanges_everything_behind_one_cut() -> None:
    first, _ = crossed(OnePointCrossover(1.0), pairs=2000)
    assert (np.abs(np.diff(first, axis=1)).sum(axis=1) == 1).all()
    assert set(first.sum(axis=1).tolist()) == set(range(1, GENES))


def test_two_points_exchange_one_piece_of_the_ring() -> None:
    first, _ = crossed(TwoPointCrossover(1.0), pairs=5000)
    cuts = (first != np.roll(first, 1, axis=1)).sum(axis=1)
    assert (cuts == 2).all()


def test_two_points_cut_everywhere_equally_often() -> None:
    first, _ = crossed(TwoPointCrossover(1.0), pairs=20_000)
    cut = (first != np.roll(first, 1, axis=1)).mean(axis=0)
    assert cut == pytest.approx(np.full(GENES, 2 / GENES), abs=0.008)  # five standard errors of 20,000 pairs


@pytest.mark.parametrize("kind", [OnePointCrossover, TwoPointCrossover])
def test_a_genome_of_one_gene_cannot_be_cut(kind: Callable[[], Crossover]) -> None:
    first, second = crossed(kind(), pairs=3, genes=1)
    assert not first.any()
    assert second.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_that_is_no_probability_is_refused(kind: Callable[[float], Crossover], rate: float) -> None:
    with pytest.raises(ConfigError, match=f"Crossover: expected rate between 0 and 1, found {rate}"):
        kind(rate)


def test_a_share_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ConfigError, match="UniformCrossover: expected share between 0 and 1, found 7"):
        UniformCrossover(share=7)


@given(spaces(), counts, generators)
def test_the_child_of_an_overlap_lies_within_each_parent_and_the_other_takes_from_both(
    space: Space, pairs: int, rng: np.random.Generator
) -> None:
    parents = genomes_in_range(space, 2 * pairs, rng).reshape(2, pairs, len(space))
    overlap, exchanged = MaskIntersection(rate=1.0)(space, parents, rng)
    ranked = ~space.of_kind(GeneKind.CATEGORY)
    assert (overlap[:, ranked] == parents.min(axis=0)[:, ranked]).all()
    for child in (overlap, exchanged):
        assert ((child == parents[0]) | (child == parents[1])).all()


def test_parents_that_are_not_crossed_stay_as_they_are() -> None:
    parents = np.array([[[0, 1, 1]], [[1, 1, 0]]])
    children = MaskIntersection(rate=0.0)(Space.bits(3), parents, np.random.default_rng(0))
    assert (children == parents).all()
