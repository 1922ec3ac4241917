"""First genomes from nothing, from nearly everything pruned to nearly nothing pruned.

Genes drawn independently make genomes that all keep about half: of 200 fair bits, nearly every genome keeps between 80
and 120, and the ends of the front start empty. So both samplings here first give each genome a density of its own, and
then draw its genes leaning towards it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.operators.options import check_share
from emoprune.space import GeneKind, IntArray, Space

__all__ = ["LatinSampling", "RandomSampling"]

SAMPLED = Paper(
    "A comparison of three methods for selecting values of input variables", appeared="McKay, Beckman, Conover, 1979"
)
RANKED = Paper("A distribution-free approach to inducing rank correlation", appeared="Iman, Conover, 1982")


@about("search", ["genomes"], cost="a random number per gene")
@dataclass(frozen=True, slots=True)
class RandomSampling:
    """Independent genomes, each with a density drawn uniformly from 0 to 1, or all with the given `density`.

    A bit is on with the probability of its genome's density. An ordered level leans towards it: up at densities above a
    half, down below, and over all densities every level is equally likely. A category takes any level.
    """

    density: float | None = None

    def __post_init__(self) -> None:
        check_share(self, "density", self.density)

    def __call__(self, space: Space, count: int, rng: np.random.Generator) -> IntArray:
        """Return genomes of shape (count, genes); locked genes are at their lock."""
        density = rng.random(count) if self.density is None else np.full(count, self.density)
        position = rng.random((count, len(space)), dtype=np.float32)
        leaning = ~space.of_kind(GeneKind.CATEGORY)
        position[:, leaning] = _leaning(density[:, None].astype(np.float32), position[:, leaning])
        return np.where(space.free, _levels(position, space.levels), space.full)


@about("search", ["genomes"], cost="a sort per gene", papers=[SAMPLED, RANKED])
@dataclass(frozen=True, slots=True)
class LatinSampling:
    """A sample spread evenly: over all sizes of genome, and over all levels of each gene.

    The densities are a stratified sample of 0 to 1, one stratum per genome. The number of bits that are on follows the
    density exactly; which ones, is random. Ordered levels lean towards the density and categories do not; in both, each
    gene uses each of its levels equally often, give or take one.

    Source: McKay, Beckman, Conover, A comparison of three methods for selecting values of input variables, 1979; ranks
    of dependent variables as in Iman, Conover, A distribution-free approach to inducing rank correlation, 1982.
    """

    def __call__(self, space: Space, count: int, rng: np.random.Generator) -> IntArray:
        """Return genomes of shape (count, genes); locked genes are at their lock."""
        genomes = np.tile(space.full, (count, 1))
        if count == 0:
            return genomes
        density = ((rng.permutation(count) + rng.random(count)) / count)[:, None]
        bits, ordered, categories = (np.flatnonzero(space.free & space.of_kind(kind)) for kind in GeneKind)
        genomes[:, bits] = _kept(density, len(bits), rng)
        leaning = density + rng.random((count, len(ordered)))
        genomes[:, ordered] = _evenly(leaning, space.levels[ordered], rng)
        anywhere = rng.random((count, len(categories)))
        genomes[:, categories] = _evenly(anywhere, space.levels[categories], rng)
        return genomes


def _leaning(density: NDArray[np.float32], uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return positions in 0 to 1 that rise with the density, and are uniform if the density is.

    The sum of two uniform numbers has a triangular distribution; passed through its own distribution function it is
    uniform again. A sum of 1 is the middle, so the upper half is reached with exactly the probability of the density.
    """
    total = density + uniform
    return np.where(total < 1, total * total / 2, 1 - (2 - total) ** 2 / 2)


def _levels(position: NDArray[np.float32] | NDArray[np.float64], levels: IntArray) -> IntArray:
    """Cut 0 to 1 into as many equal pieces as a gene has levels."""
    # A position just below 1 may round up to 1.
    return np.minimum((position * levels).astype(np.int64), levels - 1)


def _kept(density: NDArray[np.float64], bits: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Keep a number of bits that is the density's share of all numbers from none to every one."""
    ranks = rng.permuted(np.tile(np.arange(bits), (len(density), 1)), axis=1)
    return np.asarray(ranks < np.floor(density * (bits + 1)))


def _evenly(values: NDArray[np.float64], levels: IntArray, rng: np.random.Generator) -> IntArray:
    """Turn each column's ranks into levels, each of them used equally often, give or take one.

    The common offset of a column lets every level be drawn even when there are fewer genomes than levels.
    """
    ranks = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return _levels((ranks + rng.random(values.shape[1])) / len(values), levels)
