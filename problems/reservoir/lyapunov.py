"""How fast neighbouring states of a recurrent network part, direction by direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.problems.reservoir.standalone.reservoir import FloatArray

__all__ = ["Spectrum", "spectrum"]

SMALLEST = 1e-300  # what a direction that vanishes at once shrinks to, so that its logarithm is finite


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Lyapunov exponents, the largest first, shape (n,), and the share of each neuron in each, (neurons, n)."""

    exponents: FloatArray
    shares: FloatArray

    @property
    def largest(self) -> float:
        """Above zero neighbouring states part; below they meet."""
        return float(self.exponents[0])

    @property
    def of_neurons(self) -> FloatArray:
        """The exponents as the neurons take part in them, shape (neurons,)."""
        return self.shares @ self.exponents


def spectrum(jacobians: FloatArray, seed: int = 0) -> Spectrum:
    """Return the Lyapunov spectrum by the QR method: Q R = J Q step by step, exponents are the mean log |R_ii|.

    Args:
        jacobians: Of one step after the other, shape (steps, neurons, neurons).
        seed: Of the directions to begin with.
    """
    count = jacobians.shape[1]
    frame = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, count)))[0]
    logs, shares = np.zeros(count), np.zeros((count, count))
    for jacobian in jacobians:
        frame, stretched = np.linalg.qr(jacobian @ frame)
        logs += np.log(np.maximum(np.abs(np.diag(stretched)), SMALLEST))
        shares += np.square(frame)
    order = np.argsort(-logs, kind="stable")
    return Spectrum(logs[order] / len(jacobians), shares[:, order] / len(jacobians))
