"""Sampling and seeding: first genomes of all sizes, even use of levels, copies of what is known to work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts, generators, spaces

from emoprune.contracts import Sampling, Seeding
from emoprune.errors import ConfigError
from emoprune.operators.sampling import LatinSampling, RandomSampling
from emoprune.operators.seeding import Neighbours, Plain
from emoprune.space import Gene, GeneKind, Space
from emoprune.testing import SamplingConformance, SeedingConformance, legal_genomes

BITS = Space.bits(100)
LAYERS = Space.ordered([(f"layer{i}", 8) for i in range(50)])
SAMPLINGS = (RandomSampling(), LatinSampling())


class TestRandomSampling(SamplingConformance):
    keeps_locks = True

    def operator(self) -> Sampling:
        return RandomSampling()


class TestRandomSamplingOfOneDensity(SamplingConformance):
    keeps_locks = True

    def operator(self) -> Sampling:
        return RandomSampling(density=0.3)


class TestLatinSampling(SamplingConformance):
    keeps_locks = True

    def operator(self) -> Sampling:
        return LatinSampling()


class TestNeighbours(SeedingConformance):
    def operator(self) -> Seeding:
        return Neighbours()


class TestPlain(SeedingConformance):
    def operator(self) -> Seeding:
        return Plain()


@given(spaces(), counts, generators, st.sampled_from(SAMPLINGS))
def test_samples_are_in_range_and_at_their_locks(
    space: Space, count: int, rng: np.random.Generator, sampling: Sampling
) -> None:
    genomes = sampling(space, count, rng)
    assert genomes.shape == (count, len(space))
    assert ((genomes >= 0) & (genomes < space.levels)).all()
    assert (genomes == space.full)[:, ~space.free].all()


@given(spaces(), st.integers(1, 60), generators)
def test_a_latin_sample_uses_every_level_of_a_gene_equally_often(
    space: Space, count: int, rng: np.random.Generator
) -> None:
    genomes = LatinSampling()(space, count, rng)
    for gene in np.flatnonzero(space.free & ~space.of_kind(GeneKind.BIT)):
        used = np.bincount(genomes[:, gene], minlength=space.levels[gene])
        share = count / space.levels[gene]
        assert used.min() >= math.floor(share)
        assert used.max() <= math.ceil(share)


@given(st.integers(1, 30), st.integers(1, 60), generators)
def test_a_latin_sample_of_bits_has_a_genome_in_every_stratum_of_sizes(
    bits: int, count: int, rng: np.random.Generator
) -> None:
    kept = np.sort(LatinSampling()(Space.bits(bits), count, rng).sum(axis=1))
    strata = np.arange(count)
    assert (kept >= np.floor(strata * (bits + 1) / count)).all()
    assert (kept <= np.floor((strata + 1) * (bits + 1) / count)).all()


def test_a_latin_sample_does_not_keep_the_same_bits_in_every_genome_of_a_size() -> None:
    genomes = LatinSampling()(BITS, 400, np.random.default_rng(1))
    assert (np.abs(genomes.mean(axis=0) - 0.5) < 0.15).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_samples_reach_from_nearly_everything_pruned_to_nearly_nothing_pruned(sampling: Sampling) -> None:
    share = sampling(BITS, 200, np.random.default_rng(1)).mean(axis=1)
    assert share.min() < 0.05
    assert share.max() > 0.95
    assert np.histogram(share, bins=5, range=(0, 1))[0].min() >= 20


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_ordered_samples_span_small_to_large_genomes(sampling: Sampling) -> None:
    share = (sampling(LAYERS, 200, np.random.default_rng(1)) / 7).mean(axis=1)
    assert share.min() < 0.25
    assert share.max() > 0.75


def test_random_levels_are_uniform_over_a_sample() -> None:
    genomes = RandomSampling()(LAYERS, 2000, np.random.default_rng(1))
    used = np.bincount(genomes.ravel(), minlength=8) / genomes.size
    assert used == pytest.approx(np.full(8, 1 / 8), abs=0.01)  # five standard errors of the shared density


@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_a_given_density_is_the_share_of_bits_that_are_on(density: float) -> None:
    genomes = RandomSampling(density)(BITS, 200, np.random.default_rng(1))
    assert genomes.mean() == pytest.approx(density, abs=0.015)  # five standard errors of 20,000 bits


def test_a_high_density_lifts_ordered_levels_and_a_low_one_lowers_them() -> None:
    low, high = (RandomSampling(density)(LAYERS, 100, np.random.default_rng(1)) for density in (0.1, 0.9))
    assert low.mean() < 2.0
    assert high.mean() > 5.0


@pytest.mark.parametrize("density", [-0.1, 1.5, math.nan])
def test_a_density_that_is_no_share_is_refused(density: float) -> None:
    with pytest.raises(ConfigError, match=f"RandomSampling: expected density between 0 and 1, found {density}"):
        RandomSampling(density)


@given(spaces(), st.integers(1, 4), counts, generators)
def test_neighbours_are_the_first_half_each_a_step_from_its_seed(
    space: Space, seeds: int, count: int, rng: np.random.Generator
) -> None:
    known, sampled = legal_genomes(space, seeds, rng), LatinSampling()(space, count, rng)
    filled = Neighbours(rate=0.0)(space, known, sampled, rng)
    copies = round(count / 2)
    differing = (filled[:copies] != known[np.arange(copies) % seeds]).sum(axis=1)
    assert (differing == space.free.any()).all()
    assert (filled[copies:] == sampled[copies:]).all()


@pytest.mark.parametrize(("share", "copies"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_the_share_says_how_many_neighbours_there_are(share: float, copies: int) -> None:
    seeds, sampled = np.ones((1, 100), dtype=np.int64), np.zeros((40, 100), dtype=np.int64)
    filled = Neighbours(share)(BITS, seeds, sampled, np.random.default_rng(1))
    assert (filled.mean(axis=1) > 0.5).sum() == copies


def test_without_seeds_the_sample_stays() -> None:
    sampled = np.ones((5, 100), dtype=np.int64)
    filled = Neighbours()(BITS, np.zeros((0, 100), dtype=np.int64), sampled, np.random.default_rng(1))
    assert (filled == sampled).all()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"share": 2.0}, "Neighbours: expected share between 0 and 1, found 2.0"),
        ({"rate": -1.0}, "Neighbours: expected rate between 0 and 1, found -1.0"),
        ({"reach": 0}, "Neighbours: expected a reach of at least 1 level, found 0"),
    ],
)
def test_neighbours_refuse_options_out_of_range(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Neighbours(**options)


def test_a_single_latin_genome_may_have_any_level() -> None:
    space = Space((Gene("layer", 5, GeneKind.ORDERED), Gene("word", 5, GeneKind.CATEGORY)))
    genomes = np.concatenate([LatinSampling()(space, 1, np.random.default_rng(seed)) for seed in range(100)])
    assert [set(column) for column in genomes.T.tolist()] == [set(range(5)), set(range(5))]
