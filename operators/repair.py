"""Genomes made legal, changing as little as it takes: levels in range, locks, floors, slot order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import about
from emoprune.space import GeneKind, Group, IntArray, Space

__all__ = ["Floors", "Legal", "LockedGenes", "SlotOrder", "order_slots"]


@about("search", ["genomes"], cost="a write per locked gene")
@dataclass(frozen=True, slots=True)
class LockedGenes:
    """Set every locked gene to its lock."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape."""
        repaired = genomes.copy()
        _lock(space, repaired)
        return repaired


@about("search", ["genomes"], cost="a random number per gene of a group below its floor")
@dataclass(frozen=True, slots=True)
class Floors:
    """Turn on randomly chosen free genes of a group until its floor holds; nothing is ever turned off.

    A gene that is turned on takes its lowest level above zero, a category any level above zero. Locked genes count as
    they are, so let `LockedGenes` go first. Overlapping groups share what is turned on.
    """

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape."""
        repaired = genomes.copy()
        _raise_to_floors(space, repaired, rng)
        return repaired


@about("search", ["genomes"], cost="a sort per genome")
@dataclass(frozen=True, slots=True)
class SlotOrder:
    """Sort interchangeable slots by level: the one form that all genomes with the same set of levels share."""

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape."""
        repaired = genomes.copy()
        order_slots(space, repaired)
        return repaired


@about("search", ["genomes"], cost="a sort per genome, and a random number per gene of a group below its floor")
@dataclass(frozen=True, slots=True)
class Legal:
    """Everything a genome needs to be legal, in the order in which no step undoes another.

    Levels are cut off at the ends of their range, locks set, floors filled, slots sorted. A legal genome stays as it
    is.
    """

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes), at any levels, and return legal ones of the same shape."""
        repaired = np.clip(genomes, 0, space.levels - 1)
        _lock(space, repaired)
        _raise_to_floors(space, repaired, rng)
        order_slots(space, repaired)
        return repaired


def order_slots(space: Space, genomes: IntArray) -> None:
    """Sort the interchangeable slots of `genomes`, shape (n, genes), in place."""
    for group in space.groups:
        if group.interchangeable:
            slots = list(group.genes)
            genomes[:, slots] = np.sort(genomes[:, slots], axis=1)


def _lock(space: Space, genomes: IntArray) -> None:
    locked = np.flatnonzero(space.locked >= 0)
    genomes[:, locked] = space.locked[locked]


def _raise_to_floors(space: Space, genomes: IntArray, rng: np.random.Generator) -> None:
    floored = [group for group in space.groups if group.floor > 0]
    if not floored:
        return
    short = _missing(floored, genomes > 0) > 0
    for number in np.flatnonzero(short.any(axis=0)):
        _raise_group(space, genomes, floored[number], np.flatnonzero(short[:, number]), rng)


def _missing(floored: list[Group], on: NDArray[np.bool_]) -> IntArray:
    """Return how many genes each group, all with a floor above zero, lacks in each genome: shape (n, groups)."""
    members = np.concatenate([group.genes for group in floored])
    starts = np.cumsum([0, *(len(group.genes) for group in floored[:-1])])
    counts = np.add.reduceat(on[:, members], starts, axis=1, dtype=np.int64)
    return np.array([group.floor for group in floored]) - counts


def _raise_group(space: Space, genomes: IntArray, group: Group, rows: IntArray, rng: np.random.Generator) -> None:
    """Turn on, in the given rows, as many random free genes of the group as it still lacks."""
    members = np.array(group.genes)
    slots = genomes[np.ix_(rows, members)]
    missing = group.floor - (slots > 0).sum(axis=1)  # an overlapping group may have been here before
    candidates = (slots == 0) & space.free[members]
    ticket = np.where(candidates, rng.random(slots.shape), 2.0)
    turned_on = candidates & (ticket.argsort(axis=1).argsort(axis=1) < missing[:, None])
    category = space.of_kind(GeneKind.CATEGORY)[members]
    highest = np.where(category, np.maximum(space.levels[members] - 1, 1), 1)
    level = rng.integers(1, highest, slots.shape, endpoint=True)
    genomes[np.ix_(rows, members)] = np.where(turned_on, level, slots)
