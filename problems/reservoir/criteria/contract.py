"""What a criterion may look at to rank a reservoir's neurons, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from emoprune.problems.reservoir.noise import edge_importance
from emoprune.problems.reservoir.standalone.reservoir import FloatArray, Reservoir

__all__ = ["Evidence", "NeuronCriterion"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """A reservoir, and the series that it is to forecast.

    Attributes:
        reservoir: Unpruned.
        series: The scaled steps that are learnt from, the washout before them; held-out steps are not there.
        washout: How many steps at the beginning depend on how the reservoir began.
        seed: All randomness of a criterion.
    """

    reservoir: Reservoir
    series: FloatArray
    washout: int
    seed: int

    @cached_property
    def states(self) -> FloatArray:
        """What a readout sees after the washout, shape (steps, neurons)."""
        return self.reservoir.states(self.series)[self.washout :]

    @cached_property
    def importance(self) -> FloatArray:
        """What noise says of each edge, without a task, shape (neurons, neurons)."""
        return edge_importance(self.reservoir.weights)

    def driven_by_noise(self, steps: int) -> tuple[FloatArray, FloatArray]:
        """Return white noise, shape (steps,), and the states that it leads to, shape (steps, neurons)."""
        noise = np.random.default_rng(self.seed).normal(size=steps)
        return noise, self.reservoir.states(noise)


class NeuronCriterion(Protocol):
    """Ranks neurons."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return a finite score per neuron, shape (neurons,), the larger the more it is worth keeping."""
        ...
