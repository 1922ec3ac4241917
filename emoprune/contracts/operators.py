"""What an operator promises."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from emoprune.space import IntArray, Space

__all__ = ["Crossover", "Mutation", "Repair", "Sampling", "Seeding"]


class Sampling(Protocol):
    """Makes genomes from nothing; need not respect floors and locks, repair follows."""

    def __call__(self, space: Space, count: int, rng: np.random.Generator) -> IntArray:
        """Return genomes of shape (count, genes)."""
        ...


class Seeding(Protocol):
    """Mixes known good genomes (references, a former run's front) into the first generation."""

    def __call__(self, space: Space, seeds: IntArray, sampled: IntArray, rng: np.random.Generator) -> IntArray:
        """Take `seeds` of shape (m, genes) and `sampled` of shape (n, genes); return n genomes.

        The seeds themselves are already in generation 0; what is returned fills the rest of it.
        """
        ...


class Crossover(Protocol):
    """Makes two children of each pair of parents."""

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape."""
        ...


class Mutation(Protocol):
    """Changes some genes of each genome."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape; the argument stays as it was."""
        ...


class Repair(Protocol):
    """Makes genomes legal, canonical or affordable, changing as little as it can."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape; the argument stays as it was."""
        ...
