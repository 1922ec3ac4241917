"""Genomes of pruned reservoirs: by which ranking, how many neurons, which noise, spectral radius and threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from emoprune.problems.reservoir.made import spectral_radius
from emoprune.problems.reservoir.standalone.reservoir import FloatArray, Reservoir
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["CUTS", "LEVELS", "RADII", "SHARES", "THRESHOLDS", "Kept", "ReservoirGenes"]

SHARES = tuple(percentage / 100 for percentage in range(5, 101, 5))
# Times the mean importance of an edge: how likely one of mean importance stays; without noise all do.
LEVELS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, np.inf)
RADII = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1)
CUTS = (0.6, 0.4, 0.2, 0.1, 0.0)  # of the largest weight: edges below it go
THRESHOLDS = (2.0, 1.5, 1.0, 0.5, 0.25)  # of spiking neurons
CYCLIC = 1e-6  # spectral radii below it are rounding


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A pruned reservoir, and which neurons it has of the unpruned one."""

    reservoir: Reservoir
    neurons: IntArray

    @property
    def edges(self) -> int:
        """How many weights are not zero."""
        return int(np.count_nonzero(self.reservoir.weights))


@dataclass(frozen=True, slots=True, eq=False)
class ReservoirGenes:
    """Genomes over one reservoir.

    Noise keeps an edge with a chance in proportion to its importance, and divides its weight by that chance. Who stays
    is drawn once for all genomes, so that more noise keeps fewer of the same edges.

    Args:
        whole: The unpruned reservoir.
        rankings: Neurons by name of a criterion, the one most worth keeping first, shape (neurons,) each.
        importance: Of edges, shape (neurons, neurons).
        radius: The spectral radius that the unpruned one has.
        lots: From 0 to 1 for each edge, shape (neurons, neurons).
    """

    whole: Reservoir
    rankings: dict[str, IntArray]
    importance: FloatArray
    radius: float
    lots: FloatArray
    radii: tuple[float, ...] = field(init=False)
    space: Space = field(init=False)
    _known: dict[tuple[int, ...], tuple[int, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", tuple(sorted({*RADII, self.radius})))
        thresholds = "least magnitude of an edge" if self.whole.threshold is None else "threshold of a spike"
        genes = (
            Gene("ranking", len(self.rankings), GeneKind.CATEGORY),
            Gene("neurons kept", len(SHARES), GeneKind.ORDERED),
            Gene("noise level", len(LEVELS), GeneKind.ORDERED),
            Gene("spectral radius", len(self.radii), GeneKind.ORDERED),
            Gene(thresholds, len(self._thresholds), GeneKind.ORDERED),
        )
        object.__setattr__(self, "space", Space(genes))

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return CUTS if self.whole.threshold is None else THRESHOLDS

    @property
    def unpruned(self) -> IntArray:
        """The genome that keeps everything as it is."""
        last = len(CUTS) - 1 if self.whole.threshold is None else THRESHOLDS.index(self.whole.threshold)
        levels = [0, len(SHARES) - 1, len(LEVELS) - 1, self.radii.index(self.radius), last]
        return np.array(levels, dtype=np.int64)

    def ranked(self, name: str, share: float) -> IntArray:
        """Return the genome that keeps a share of the neurons, the first of a ranking, and all else as it is."""
        genome = self.unpruned
        genome[0], genome[1] = list(self.rankings).index(name), SHARES.index(share)
        return genome

    def neurons(self, genome: IntArray) -> IntArray:
        """Return which neurons stay, sorted, shape (kept,)."""
        ranking = list(self.rankings.values())[int(genome[0])]
        count = max(1, round(SHARES[int(genome[1])] * len(ranking)))
        return np.sort(ranking[:count])

    def decoded(self, genome: IntArray) -> Kept:
        """Return what a genome of shape (genes,) keeps."""
        kept = self.neurons(genome)
        weights = self._edges(kept, int(genome[2]), int(genome[4]))
        radius = spectral_radius(weights)
        if radius > CYCLIC:
            weights = weights * (self.radii[int(genome[3])] / radius)
        whole = self.whole
        threshold = None if whole.threshold is None else THRESHOLDS[int(genome[4])]
        parts = {name: getattr(whole, name)[kept] for name in ("inputs", "bias", "leak")}
        return Kept(replace(whole, weights=weights, threshold=threshold, **parts), kept)

    def _edges(self, kept: IntArray, noise: int, threshold: int) -> FloatArray:
        """Return the weights between neurons that stay, before their spectral radius is set."""
        own = np.ix_(kept, kept)
        weights = self.whole.weights[own]
        if np.isfinite(LEVELS[noise]):
            mean = self.importance[self.whole.weights != 0].mean() if self.whole.weights.any() else 1.0
            chance = np.minimum(1.0, LEVELS[noise] * self.importance[own] / mean)
            stays = self.lots[own] < chance
            weights = np.where(stays, weights / np.where(stays, chance, 1.0), 0.0)
        if self.whole.threshold is None:
            weights = np.where(np.abs(weights) < CUTS[threshold] * np.abs(weights).max(initial=0.0), 0.0, weights)
        return np.asarray(weights)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one of the highest levels and the first ranking that keeps the same."""
        return np.array([self._representative(tuple(genome)) for genome in genomes.tolist()]).reshape(genomes.shape)

    def _representative(self, genome: tuple[int, ...]) -> tuple[int, ...]:
        if genome not in self._known:
            ranking, share, noise, radius, threshold = genome
            kept = self.neurons(np.array(genome))
            others = range(ranking)
            same = (each for each in others if np.array_equal(self.neurons(np.array((each, share))), kept))
            wanted = self._edges(kept, noise, threshold)
            cuts = range(len(CUTS)) if self.whole.threshold is None else [threshold]
            levels = ((level, cut) for level in reversed(range(len(LEVELS))) for cut in reversed(cuts))
            level, cut = next(each for each in levels if np.array_equal(self._edges(kept, *each), wanted))
            turns = spectral_radius(wanted) > CYCLIC
            own = (next(same, ranking), share, level, radius if turns else len(self.radii) - 1, cut)
            self._known[genome] = own
        return self._known[genome]
