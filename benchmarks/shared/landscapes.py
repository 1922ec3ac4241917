"""What the benchmarks search: objectives of bit genomes that cost next to nothing, so that the rest can be seen."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emoprune.front import hypervolume

__all__ = ["KeptAndLost", "Knapsack", "Landscape"]

FloatArray = NDArray[np.float64]


class Landscape(ABC):
    """Objectives to minimise of genomes of `genes` bits; `worst` is what no genome exceeds, shape (objectives,)."""

    name: str
    genes: int
    worst: FloatArray

    @abstractmethod
    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return the objectives, shape (n, objectives), of genomes of shape (n, genes)."""

    def volume(self, scores: FloatArray) -> float:
        """Return the dominated share of the box between 0 and `worst`."""
        return hypervolume(scores / self.worst, np.ones(len(self.worst)))


class KeptAndLost(Landscape):
    """Keep few bits, prune little importance: the plainest picture of pruning."""

    def __init__(self, genes: int) -> None:
        self.name = f"kept bits, pruned importance ({genes} bits)"
        self.genes = genes
        self._importance = np.random.default_rng(7).random(genes)
        self.worst = np.array([genes, self._importance.sum()])

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return how many bits are kept and how much importance is lost."""
        kept = np.asarray(genomes, dtype=np.float64)
        return np.column_stack([kept.sum(axis=1), self.worst[1] - kept @ self._importance])


class Knapsack(Landscape):
    """Lose little of two worths, carry little weight; neighbouring items are worth more together.

    The parts are whole numbers, so that all sums are exact.
    """

    def __init__(self, genes: int) -> None:
        self.name = f"knapsack of two worths and a weight ({genes} bits)"
        self.genes = genes
        rng = np.random.default_rng(11)
        self._alone = rng.integers(1, 100, (genes, 2)).astype(np.float64)
        self._paired = rng.integers(1, 100, (genes - 1, 2)).astype(np.float64)
        self._weight = rng.integers(1, 30, genes).astype(np.float64)
        self.worst = np.array([*(self._alone.sum(axis=0) + self._paired.sum(axis=0)), self._weight.sum()])

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return how much of each worth is lost, and the weight that is kept."""
        kept = np.asarray(genomes, dtype=np.float64)
        worth = kept @ self._alone + (kept[:, :-1] * kept[:, 1:]) @ self._paired
        return np.column_stack([self.worst[:2] - worth, kept @ self._weight])
