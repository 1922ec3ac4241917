"""Neurons by the paths through them, over edges that noise and Lyapunov exponents call strong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.reservoir.criteria.contract import Evidence
from emoprune.problems.reservoir.lyapunov import spectrum
from emoprune.problems.reservoir.noise import betweenness
from emoprune.problems.reservoir.standalone.reservoir import FloatArray

__all__ = ["LYAPUNOV_NOISE", "Noise"]

LYAPUNOV_NOISE = Paper(
    "Sparse Spiking Neural Network: Exploiting Heterogeneity in Timescales for Pruning Recurrent SNN",
    appeared="ICLR 2024",
)


@about(
    "pruning", ["neurons"], serves=["reservoir"], cost="a QR decomposition per step of noise", papers=[LYAPUNOV_NOISE]
)
@dataclass(frozen=True, slots=True)
class Noise:
    """Betweenness of neurons over edges that noise pruning and the Lyapunov spectrum call strong; it looks at no task.

    An edge is as strong as its importance under noise times the harmonic mean of how much its two neurons stretch.

    Args:
        steps: Of white noise, by which the spectrum is measured.

    Raises:
        ConfigError: There are too few of them.
    """

    steps: int = 200

    def __post_init__(self) -> None:
        if self.steps < 10:
            raise ConfigError(f"noise: steps: expected at least 10, found {self.steps}")

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return the betweenness; among neurons that no path leads through, the strength of their edges decides."""
        noise, states = evidence.driven_by_noise(self.steps + evidence.washout)
        states, noise = states[evidence.washout :], noise[evidence.washout :]
        stretch = np.exp(spectrum(evidence.reservoir.jacobians(states, noise), evidence.seed).of_neurons)
        means = 2 * np.outer(stretch, stretch) / np.add.outer(stretch, stretch)
        strengths = evidence.importance * means
        total = strengths.sum(axis=0) + strengths.sum(axis=1)
        return np.asarray(betweenness(strengths) + 0.5 * total / max(float(total.max()), np.finfo(float).tiny))
