"""Two children of two parents: genes are exchanged one by one, or in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.operators.options import check_share
from emoprune.space import IntArray, Space

__all__ = ["OnePointCrossover", "TwoPointCrossover", "UniformCrossover"]

BoolArray = NDArray[np.bool_]

DE_JONG = Paper("An analysis of the behavior of a class of genetic adaptive systems", appeared="De Jong, 1975")


@about(
    "search",
    ["genomes"],
    cost="a random number per gene",
    papers=[Paper("Uniform crossover in genetic algorithms", appeared="Syswerda, 1989")],
)
@dataclass(frozen=True, slots=True)
class UniformCrossover:
    """Exchange each gene with probability `share`, in a pair that is crossed at all with probability `rate`.

    Source: Syswerda, Uniform crossover in genetic algorithms, 1989.
    """

    rate: float = 0.9
    share: float = 0.5

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)
        check_share(self, "share", self.share)

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape."""
        exchanged = rng.random(parents.shape[1:], dtype=np.float32) < self.share
        return _children(parents, exchanged, self.rate, rng)


@about(
    "search",
    ["genomes"],
    cost="a random cut per pair",
    papers=[Paper("Adaptation in natural and artificial systems", appeared="Holland, 1975")],
)
@dataclass(frozen=True, slots=True)
class OnePointCrossover:
    """Exchange everything behind one cut, in a pair that is crossed at all with probability `rate`.

    Keeps together what lies together: choose it where neighbouring genes belong to the same layer or sentence.
    Source: Holland, Adaptation in natural and artificial systems, 1975.
    """

    rate: float = 0.9

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape; one gene cannot be cut."""
        _, pairs, genes = parents.shape
        if genes < 2:
            return parents.copy()
        cut = rng.integers(1, genes, (pairs, 1))
        return _children(parents, np.arange(genes) >= cut, self.rate, rng)


@about("search", ["genomes"], cost="two random cuts per pair", papers=[DE_JONG])
@dataclass(frozen=True, slots=True)
class TwoPointCrossover:
    """Exchange the piece between two cuts of the genome seen as a ring, in a pair crossed with probability `rate`.

    On a ring the first and the last gene are neighbours too, so no place of the genome is cut more often than another.
    Source: De Jong, An analysis of the behavior of a class of genetic adaptive systems, 1975.
    """

    rate: float = 0.9

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape; one gene cannot be cut."""
        _, pairs, genes = parents.shape
        if genes < 2:
            return parents.copy()
        start = rng.integers(0, genes, (pairs, 1))
        end = (start + rng.integers(1, genes, (pairs, 1))) % genes
        place = np.arange(genes)
        between = (np.minimum(start, end) <= place) & (place < np.maximum(start, end))
        return _children(parents, between, self.rate, rng)


def _children(parents: IntArray, exchanged: BoolArray, rate: float, rng: np.random.Generator) -> IntArray:
    """Exchange the genes marked in `exchanged`, shape (pairs, genes), in a share `rate` of the pairs."""
    crossed = rng.random(len(exchanged)) < rate
    return np.where(exchanged & crossed[:, None], parents[::-1], parents)
