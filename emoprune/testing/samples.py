"""Spaces and genomes to try a plug-in on."""

from __future__ import annotations

import numpy as np

from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["legal_genomes", "sample_spaces"]

ROUNDS = 40  # of changes proposed to each genome: enough to forget where it started


def legal_genomes(space: Space, count: int, rng: np.random.Generator) -> IntArray:
    """Return random legal genomes of shape (count, genes), small and large, with only `Space.legal` as the judge.

    Each starts as the full genome and takes those of many random changes that keep it legal.
    """
    genomes = np.tile(space.full, (count, 1))
    for _ in range(ROUNDS):
        proposed = _changed(space, genomes, rng)
        accepted = space.legal(proposed)
        genomes[accepted] = proposed[accepted]
    return genomes


def _changed(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    """Redraw a random share of each genome's free genes at a random density, and sort interchangeable slots."""
    density, share = rng.random((2, len(genomes), 1))
    level = rng.integers(1, np.maximum(space.levels, 2), genomes.shape)
    drawn = np.where(rng.random(genomes.shape) < density, level, 0)
    proposed = np.where(space.free & (rng.random(genomes.shape) < share), drawn, genomes)
    for group in space.groups:
        if group.interchangeable:
            slots = list(group.genes)
            proposed[:, slots] = np.sort(proposed[:, slots], axis=1)
    return proposed


def sample_spaces() -> tuple[Space, ...]:
    """Return small spaces that operators stumble over: all kinds, locks, overlapping floors, slots, nothing to vary."""
    bits = tuple(Gene(f"bit{i}", locked=1 if i == 3 else None) for i in range(12))
    layers = tuple(Gene(f"layer{i}", 2 + i, GeneKind.ORDERED, locked=1 if i == 2 else None) for i in range(6))
    words = tuple(Gene(f"word{i}", 9, GeneKind.CATEGORY) for i in range(5))
    slots = Group("prompt", tuple(range(18, 23)), floor=2, interchangeable=True)
    overlapping = (Group("left", tuple(range(8)), floor=3), Group("right", tuple(range(6, 15)), floor=4))
    return (
        Space(bits, costs=np.arange(1.0, 13.0)),
        Space(layers, (Group("layers", tuple(range(6)), floor=2),), costs=np.ones(6)),
        Space((*bits, *layers, *words), (*overlapping, slots), costs=np.ones(23)),
        Space((Gene("only"),), costs=np.ones(1)),
        Space((Gene("fixed", 1, GeneKind.ORDERED), Gene("off", locked=0)), costs=np.ones(2)),
    )
