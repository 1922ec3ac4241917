"""Neurons by how active they are, by how slow they are, and at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import about
from emoprune.problems.reservoir.criteria.contract import Evidence
from emoprune.problems.reservoir.standalone.reservoir import FloatArray

__all__ = ["Activity", "RandomNeurons", "Slowness"]


@about("pruning", ["neurons"], serves=["reservoir"], cost="one pass over the series")
@dataclass(frozen=True, slots=True)
class Activity:
    """Mean magnitude of a neuron's state while the series that is learnt from goes through the reservoir."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return one score per neuron, shape (neurons,)."""
        return np.asarray(np.nan_to_num(np.abs(evidence.states).mean(axis=0), nan=0.0, posinf=0.0))


@about("pruning", ["neurons"], serves=["reservoir"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Slowness:
    """The time constant of a neuron."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return one score per neuron, shape (neurons,)."""
        return 1 / evidence.reservoir.leak


@about("pruning", ["neurons"], serves=["reservoir"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class RandomNeurons:
    """No order at all."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return one score per neuron, shape (neurons,)."""
        return np.random.default_rng([evidence.seed, 7]).random(len(evidence.reservoir.leak))
