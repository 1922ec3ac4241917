"""Drawing the reservoir that is pruned."""

from __future__ import annotations

import numpy as np

from emoprune.problems.reservoir.options import ReservoirOptions
from emoprune.problems.reservoir.standalone.reservoir import FloatArray, Reservoir

__all__ = ["drawn", "spectral_radius"]

SHAPE = 3.0  # of the gamma distribution of time constants
THRESHOLD = 1.0


def spectral_radius(weights: FloatArray) -> float:
    """Return the largest magnitude of an eigenvalue; 0 where edges run in no circle, but for rounding."""
    return float(np.abs(np.linalg.eigvals(weights)).max(initial=0.0))


def drawn(options: ReservoirOptions) -> Reservoir:
    """Return a random reservoir of the wanted size, density, spectral radius and time constants."""
    rng, count = np.random.default_rng([options.reservoir_seed, 14]), options.neurons
    weights = rng.normal(size=(count, count)) * (rng.random((count, count)) < options.connectivity)
    radius = spectral_radius(weights)
    weights *= options.radius / radius if radius > 0 else 1.0
    constants = np.maximum(1.0, rng.gamma(SHAPE, options.time_constant / SHAPE, count))
    threshold = THRESHOLD if options.kind == "spiking" else None
    return Reservoir(weights, rng.uniform(-1, 1, count), rng.uniform(-0.2, 0.2, count), 1 / constants, threshold)
