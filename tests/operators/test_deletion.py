"""Deletion: what goes off stays off, how much goes at once, and what may not go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts, generators, spaces

from emoprune.contracts import Mutation, Sampling
from emoprune.errors import ConfigError
from emoprune.operators.deletion import DeletionMutation, DeletionSampling
from emoprune.space import Group, Space
from emoprune.testing import MutationConformance, SamplingConformance, legal_genomes

most_at_once = st.integers(1, 6)


class TestDeletionMutation(MutationConformance):
    def operator(self) -> Mutation:
        return DeletionMutation()


class TestDeletionSampling(SamplingConformance):
    keeps_locks = True

    def operator(self) -> Sampling:
        return DeletionSampling()


@given(spaces(), counts, generators, most_at_once)
def test_a_mutation_only_turns_off_and_never_more_than_it_may(
    space: Space, count: int, rng: np.random.Generator, most: int
) -> None:
    genomes = legal_genomes(space, count, rng)
    mutated = DeletionMutation(most)(space, genomes, rng)
    assert ((mutated > 0).sum(axis=1) >= (genomes > 0).sum(axis=1) - most).all()
    plain = [gene for gene in range(len(space)) if not any(gene in g.genes for g in space.groups if g.interchangeable)]
    assert ((mutated == genomes) | (mutated == 0))[:, plain].all()


@given(spaces(), counts, generators, most_at_once)
def test_a_legal_genome_stays_legal_without_any_repair(
    space: Space, count: int, rng: np.random.Generator, most: int
) -> None:
    assert space.legal(DeletionMutation(most)(space, legal_genomes(space, count, rng), rng)).all()


@given(spaces(), counts, generators, st.tuples(st.floats(0, 1), st.floats(0, 1)), st.integers(1, 12))
def test_a_sampled_genome_is_the_full_one_with_some_genes_off_and_legal(
    space: Space, count: int, rng: np.random.Generator, rates: tuple[float, float], steps: int
) -> None:
    sampled = DeletionSampling(min(rates), max(rates), steps)(space, count, rng)
    assert sampled.shape == (count, len(space))
    assert space.legal(sampled).all()
    off = (sampled == 0) & (space.full > 0)
    assert (off.sum(axis=1) <= np.maximum(1, np.round(max(rates) * space.free.sum()))).all()


def test_one_to_most_genes_go_and_each_number_equally_often() -> None:
    space = Space.bits(60)
    genomes = np.tile(space.full, (8000, 1))
    gone = 60 - DeletionMutation()(space, genomes, np.random.default_rng(1)).sum(axis=1)
    counts_found = np.bincount(gone, minlength=5)
    assert counts_found[0] == 0
    assert (np.abs(counts_found[1:5] - 2000) < 200).all()
    assert len(counts_found) == 5


def test_every_gene_goes_equally_often() -> None:
    space = Space.bits(20)
    mutated = DeletionMutation(1)(space, np.tile(space.full, (20_000, 1)), np.random.default_rng(1))
    assert (np.abs((1 - mutated).sum(axis=0) - 1000) < 150).all()


def test_the_last_gene_that_is_on_never_goes_and_a_floor_is_never_broken() -> None:
    rng = np.random.default_rng(1)
    assert DeletionMutation()(Space.bits(5), np.eye(5, dtype=np.int64), rng).tolist() == np.eye(5).tolist()
    space = Space.bits(6, groups=[Group("kept", (0, 1, 2), floor=2)])
    genomes = np.tile(space.full, (500, 1))
    for _ in range(8):
        genomes = DeletionMutation()(space, genomes, rng)
    assert (genomes[:, :3].sum(axis=1) == 2).any()
    assert (genomes[:, :3].sum(axis=1) >= 2).all()


def test_each_sampled_genome_has_a_rate_of_its_own() -> None:
    space = Space.bits(200)
    sampled = DeletionSampling()(space, 2000, np.random.default_rng(1))
    rates = 1 - sampled.mean(axis=1)
    expected = np.round(np.linspace(0.05, 0.2, 10) * 200) / 200
    assert np.allclose(np.unique(rates), expected)
    assert np.bincount(np.searchsorted(expected, rates - 1e-9)).min() > 140


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: DeletionMutation(0), "turn off at most 1 gene or more, found 0"),
        (lambda: DeletionSampling(least=0.5, most=0.2), "least to be no more than most, found 0.5 and 0.2"),
        (lambda: DeletionSampling(most=1.5), "expected most between 0 and 1, found 1.5"),
        (lambda: DeletionSampling(steps=0), "expected 1 step or more, found 0"),
    ],
)
def test_options_that_cannot_be_are_refused(make: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make()  # type: ignore[operator]  # each is a function
