"""Gaussian processes over genomes: what an unmeasured genome will score, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.space import GeneKind, IntArray, Space

__all__ = ["GaussianProcess", "coordinates"]

FloatArray = NDArray[np.float64]

LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # in mean distances per gene
NOISES = (1e-4, 1e-3, 1e-2, 5e-2, 2e-1)  # shares of the variance
TINY = 1e-12


def coordinates(space: Space, genomes: IntArray) -> FloatArray:
    """Return genomes of shape (n, genes) as points: levels from 0 to 1, categories one by one, locked genes left out.

    Two genomes that differ in one gene as much as they can are at distance 1.
    """
    category = space.of_kind(GeneKind.CATEGORY) & space.free
    ordered = space.free & ~category
    columns = [genomes[:, ordered] / (space.levels[ordered] - 1)]
    columns += [
        (genomes[:, [gene]] == np.arange(space.levels[gene])) / np.sqrt(2.0) for gene in np.flatnonzero(category)
    ]
    return np.asarray(np.concatenate(columns, axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class GaussianProcess:
    """One process per column of values, with a squared-exponential kernel over points of shape (n, dimensions).

    Length and noise are those of a grid with the highest marginal likelihood. Source: Rasmussen and Williams, Gaussian
    Processes for Machine Learning, 2006, chapters 2 and 5.
    """

    points: FloatArray
    genes: int
    fits: tuple[_Fit, ...]

    @classmethod
    def of(cls, points: FloatArray, values: FloatArray, genes: int) -> GaussianProcess:
        """Fit values of shape (n, columns) at points of shape (n, dimensions); distances are per each of `genes`."""
        squared = _squared_distances(points, points) / genes
        best: list[_Fit | None] = [None] * values.shape[1]
        for length in LENGTHS:
            eigenvalues, vectors = np.linalg.eigh(np.exp(-0.5 * squared / length**2))
            for column in range(values.shape[1]):
                found = _fitted(np.maximum(eigenvalues, 0.0), vectors, values[:, column], length)
                known = best[column]
                if known is None or found.surprise < known.surprise:
                    best[column] = found
        return cls(points, genes, tuple(each for each in best if each is not None))

    def predicted(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of each column at points, both of shape (n, columns)."""
        squared = _squared_distances(points, self.points) / self.genes
        found = [each.predicted(np.exp(-0.5 * squared / each.length**2)) for each in self.fits]
        return np.column_stack([mean for mean, _ in found]), np.column_stack([spread for _, spread in found])


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The process of one column: what its length and noise are, and what predicting takes."""

    length: float
    surprise: float  # negative log marginal likelihood, up to a constant
    centre: float
    scale: float
    weights: FloatArray
    vectors: FloatArray
    inverted: FloatArray
    variance: float

    def predicted(self, kernel: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = kernel @ self.weights * self.scale + self.centre
        explained = np.square(kernel @ self.vectors) @ self.inverted
        return mean, np.sqrt(np.maximum(0.0, 1.0 - explained) * self.variance) * self.scale


def _fitted(eigenvalues: FloatArray, vectors: FloatArray, values: FloatArray, length: float) -> _Fit:
    centre, scale = float(values.mean()), float(values.std()) + TINY
    turned = vectors.T @ ((values - centre) / scale)
    fits = []
    for noise in NOISES:
        spectrum = eigenvalues + noise
        variance = float(np.mean(np.square(turned) / spectrum)) + TINY
        surprise = 0.5 * len(values) * np.log(variance) + 0.5 * float(np.log(spectrum).sum())
        fits.append((float(surprise), noise, variance, spectrum))
    surprise, _, variance, spectrum = min(fits, key=lambda fit: fit[:2])
    weights = vectors @ (turned / spectrum)
    return _Fit(length, surprise, centre, scale, weights, vectors, 1.0 / spectrum, variance)


def _squared_distances(one: FloatArray, other: FloatArray) -> FloatArray:
    lengths = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)[None, :]
    return np.asarray(np.maximum(0.0, lengths - 2 * (one @ other.T)))
