"""Levels that change places: one gene goes down, another of its kind goes up, and the sum stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.space import GeneKind, IntArray, Space

__all__ = ["LevelSwitchMutation"]

EVOPRESS = Paper("EvoPress: Accurate Dynamic Model Compression via Evolutionary Search", "2410.14649")
NOWHERE = 2.0  # a ticket that loses against all that were drawn


@about("search", ["genomes"], cost="a random number per gene and switch", papers=[EVOPRESS])
@dataclass(frozen=True, slots=True)
class LevelSwitchMutation:
    """Lower one gene by a level and raise another of the same kind by one, once or up to `most` times.

    How often is the smaller of two uniform draws from 1 to `most`. Two genes are of one kind if they have as many
    levels and lie in the same groups: a bit that goes off makes another one go on, an ordered level that falls makes
    another one rise, and the sum of the levels of every kind stays. Categories and locked genes stay as they are, as do
    genomes in which nothing can be switched.

    Source: EvoPress: Accurate Dynamic Model Compression via Evolutionary Search (arXiv 2410.14649).
    """

    most: int = 3

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigError(f"LevelSwitchMutation: expected at most 1 switch or more, found {self.most}")

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones."""
        switched = genomes.copy()
        if not genomes.size:
            return switched
        kinds = _kinds(space)
        counts = rng.integers(1, self.most, (2, len(genomes)), endpoint=True).min(axis=0)
        for turn in range(self.most):
            rows = np.flatnonzero(counts > turn)
            switched[rows] = _switched(space, switched[rows], kinds, rng)
        for group in space.groups:
            if group.interchangeable:
                members = list(group.genes)
                switched[:, members] = np.sort(switched[:, members], axis=1)
        return switched


def _kinds(space: Space) -> IntArray:
    """Return a number for each gene's kind, shape (genes,); -1 for genes that stay."""
    moves = space.free & ~space.of_kind(GeneKind.CATEGORY)
    within = np.array([np.isin(np.arange(len(space)), group.genes) for group in space.groups], dtype=np.bool_)
    groups = within.reshape(len(space.groups), len(space)).T
    marks = [(int(levels), own.tobytes()) for levels, own in zip(space.levels, groups, strict=True)]
    numbers = {mark: number for number, mark in enumerate(dict.fromkeys(marks))}
    return np.where(moves, [numbers[mark] for mark in marks], -1)


def _switched(space: Space, genomes: IntArray, kinds: IntArray, rng: np.random.Generator) -> IntArray:
    """Switch one pair in each genome that has one."""
    falls = (genomes > 0) & (kinds >= 0)
    rises = (genomes < space.levels - 1) & (kinds >= 0)
    partners = np.zeros((len(genomes), kinds.max() + 2), dtype=np.int64)  # that can rise, of each kind; the last is -1
    own, genes = np.nonzero(rises)
    np.add.at(partners, (own, kinds[genes]), 1)
    partnered = falls & (partners[:, kinds] > rises)
    down = _drawn(partnered, rng)
    rows = np.flatnonzero(partnered.any(axis=1))
    rises[rows, down[rows]] = False
    up = _drawn(rises & (kinds == kinds[down][:, None]), rng)
    switched = genomes.copy()
    switched[rows, down[rows]] -= 1
    switched[rows, up[rows]] += 1
    return switched


def _drawn(able: NDArray[np.bool_], rng: np.random.Generator) -> IntArray:
    """Return one random able gene of each row, shape (n,)."""
    return np.asarray(np.where(able, rng.random(able.shape), NOWHERE).argmin(axis=1))
