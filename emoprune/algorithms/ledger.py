"""What a single-objective loop has been told so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.algorithm import Breeding, Measured
from emoprune.space import IntArray, Space

__all__ = ["Ledger"]

FloatArray = NDArray[np.float64]


class Ledger:
    """Everything that was told: genomes by id and by key, each with what it is sorted by, the least first.

    Args:
        breeding: The search.
        objective: The place of the objective that counts.
    """

    def __init__(self, breeding: Breeding, objective: int) -> None:
        self._space: Space = breeding.space
        self._objective = objective
        self._genomes: dict[int, IntArray] = {}
        self._values: dict[int, tuple[float, ...]] = {}
        self._ids: dict[bytes, int] = {}

    def add(self, measured: Measured) -> None:
        """Take in what was told; a genome that breaks a constraint comes after all that break none.

        One that was given up comes between them, the later the fewer blocks it was measured on.
        """
        keys = self._space.keys(measured.genomes) if len(measured) else []
        noise, objective = measured.noise, measured.objectives[:, self._objective].tolist()
        columns = [measured.violation.tolist(), objective]
        if noise is not None:
            columns = [noise.broken.tolist(), (1.0 - noise.shares).tolist(), objective]
        for number, key, genome, *value in zip(measured.ids.tolist(), keys, measured.genomes, *columns, strict=True):
            self._genomes[number] = genome
            self._values[number] = tuple(value)
            self._ids[key] = number

    def __len__(self) -> int:
        return len(self._values)

    def genomes(self, ids: Sequence[int]) -> IntArray:
        """Return the genomes of `ids`, shape (ids, genes)."""
        return np.array([self._genomes[number] for number in ids], dtype=np.int64).reshape(len(ids), len(self._space))

    def known(self, genomes: IntArray) -> list[int | None]:
        """Return the id of each genome that was told before, None for the others."""
        return [self._ids.get(key) for key in self._space.keys(genomes)]

    def value(self, number: int) -> tuple[float, ...]:
        """Return what a genome is sorted by."""
        return self._values[number]

    def sorted(self, ids: Sequence[int]) -> list[int]:
        """Return `ids` from best to worst; of equals the first stays first."""
        return sorted(ids, key=lambda number: self._values[number])

    def length(self, ids: Sequence[int]) -> float:
        """Return how long genomes are on average: their cost where the space states one, else how many genes are on."""
        genomes = self.genomes(ids)
        if self._space.costs is None:
            return float((genomes[:, self._space.free] > 0).sum(axis=1).mean())
        return float((genomes * self._space.costs).sum(axis=1).mean())
