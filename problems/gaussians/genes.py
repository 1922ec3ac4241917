"""Genomes of Gaussians: by which ranking, and which share of each stratum of opacity and size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["LEVELS", "GaussianGenes", "strata_of"]

BANDS = ("low", "middle", "high")
LEVELS = 21  # shares of a stratum, from none to all

BoolArray = NDArray[np.bool_]


def strata_of(opacities: NDArray[np.float64], sizes: NDArray[np.float64]) -> dict[str, IntArray]:
    """Return the Gaussians of each stratum by its name: a third of all by opacity, of these a third by size."""
    found = {}
    for opacity, rows in zip(BANDS, np.array_split(np.argsort(opacities, kind="stable"), 3), strict=True):
        by_size = rows[np.argsort(sizes[rows], kind="stable")]
        for size, own in zip(BANDS, np.array_split(by_size, 3), strict=True):
            if len(own):
                found[f"{opacity} opacity, {size} size"] = np.sort(own)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class GaussianGenes:
    """Genomes over some Gaussians.

    Args:
        scores: Of each Gaussian, by the name of a criterion, shape (n,) each.
        strata: The Gaussians of each stratum.
    """

    scores: Mapping[str, NDArray[np.float64]]
    strata: Mapping[str, IntArray]
    space: Space = field(init=False)
    _ranked: dict[str, list[IntArray]] = field(init=False)

    def __post_init__(self) -> None:
        genes = [Gene("ranking", len(self.scores), GeneKind.CATEGORY)]
        genes += [Gene(f"kept of {name}", LEVELS, GeneKind.ORDERED) for name in self.strata]
        floor = (Group("gaussians", tuple(range(1, len(genes))), floor=1),)
        object.__setattr__(self, "space", Space(tuple(genes), floor))
        ranked = {
            name: [own[np.argsort(-scores[own], kind="stable")] for own in self.strata.values()]
            for name, scores in self.scores.items()
        }
        object.__setattr__(self, "_ranked", ranked)

    @property
    def unpruned(self) -> IntArray:
        """The genome that keeps all."""
        genome = self.space.full.copy()
        genome[0] = 0
        return genome

    def decoded(self, genome: IntArray) -> IntArray:
        """Return which Gaussians a genome of shape (genes,) keeps, sorted."""
        ranked = list(self._ranked.values())[int(genome[0])]
        kept = [own[: _many(len(own), int(level))] for own, level in zip(ranked, genome[1:], strict=True)]
        return np.sort(np.concatenate(kept))

    def closest(self, name: str, kept: IntArray) -> IntArray:
        """Return the genome of a ranking that keeps of each stratum about as many as `kept` has of it."""
        genome = self.unpruned
        genome[0] = list(self.scores).index(name)
        for place, own in enumerate(self.strata.values(), start=1):
            genome[place] = round((LEVELS - 1) * len(np.intersect1d(own, kept)) / len(own))
        if not genome[1:].any():
            genome[1] = 1
        return genome

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one of the highest levels and the first ranking that keeps the same."""
        return np.array([self._representative(genome) for genome in genomes]).reshape(genomes.shape)

    def _representative(self, genome: IntArray) -> IntArray:
        found, kept = genome.copy(), self.decoded(genome)
        for place, own in enumerate(self.strata.values(), start=1):
            wanted = _many(len(own), int(genome[place]))
            found[place] = max(level for level in range(LEVELS) if _many(len(own), level) == wanted)
        for ranking in range(int(genome[0])):
            found[0] = ranking
            if np.array_equal(self.decoded(found), kept):
                return found
        found[0] = genome[0]
        return found


def _many(members: int, level: int) -> int:
    """Return how many of a stratum stay at a level; at any above zero at least one."""
    return 0 if level == 0 else max(1, round(members * level / (LEVELS - 1)))
