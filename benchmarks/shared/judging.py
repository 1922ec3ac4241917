"""Who answers the engines' questions: one keeps the time that is not the fitness, one keeps everything it was asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from shared.landscapes import FloatArray, Landscape

__all__ = ["Judge", "Plan", "Stopwatch", "Witness"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How an engine is to search: a first generation of `population` genomes, then `evaluations` more."""

    landscape: Landscape
    population: int
    evaluations: int
    seed: int


class Judge(Protocol):
    """What an engine may ask."""

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return objectives to minimise, shape (n, objectives), of genomes of shape (n, genes)."""
        ...

    def begin(self) -> None:
        """Take note that the first generation has been selected from, and that variation begins."""
        ...


class Stopwatch:
    """Measures this process's CPU time per evaluation, from `begin` on and without the fitness."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self.begin()

    def begin(self) -> None:
        """Start counting."""
        self._fitness = 0.0
        self._evaluations = 0
        self._begun = time.process_time()

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return the objectives, off the clock."""
        begun = time.process_time()
        found = self._landscape.scores(genomes)
        self._fitness += time.process_time() - begun
        self._evaluations += len(found)
        return found

    @property
    def microseconds(self) -> float:
        """CPU time per evaluation so far."""
        return (time.process_time() - self._begun - self._fitness) / self._evaluations * 1e6

    @property
    def evaluations(self) -> int:
        """How many evaluations were counted."""
        return self._evaluations


class Witness:
    """Keeps the objectives of everything that was asked, in order."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._seen: list[FloatArray] = []

    def begin(self) -> None:
        """Nothing is timed here."""

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return the objectives and remember them."""
        self._seen.append(self._landscape.scores(genomes))
        return self._seen[-1]

    def volume(self, evaluations: int) -> float:
        """Return the hypervolume of the first `evaluations` genomes that were asked about."""
        return self._landscape.volume(np.concatenate(self._seen)[:evaluations])
