"""A reservoir and its readout; needs numpy, nothing else.

from reservoir import load_reservoir
network = load_reservoir()
network.forecast(series)  # for each step what follows `horizon` steps later
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FORMAT = "emoprune.reservoir/1"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reservoir:
    """Recurrent neurons with time constants of their own, driven by a series.

    Args:
        weights: From neuron j to neuron i, shape (neurons, neurons).
        inputs: From the series to each neuron, shape (neurons,).
        bias: Of each neuron, shape (neurons,).
        leak: One over each neuron's time constant in steps, from 0 to 1, shape (neurons,).
        threshold: From which potential on a neuron spikes; None for neurons that pass on a hyperbolic tangent.
    """

    weights: FloatArray
    inputs: FloatArray
    bias: FloatArray
    leak: FloatArray
    threshold: float | None = None

    def states(self, series: FloatArray) -> FloatArray:
        """Return what a readout sees after each step, shape (steps, neurons): activities, or spikes that fade.

        Numbers that are not finite stand where the reservoir is unstable.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._echo(series) if self.threshold is None else self._spiking(series, self.threshold)

    def _echo(self, series: FloatArray) -> FloatArray:
        state, found = np.zeros(len(self.leak)), np.empty((len(series), len(self.leak)))
        drive = np.outer(series, self.inputs) + self.bias
        for step, driven in enumerate(drive):
            state = (1 - self.leak) * state + self.leak * np.tanh(self.weights @ state + driven)
            found[step] = state
        return found

    def _spiking(self, series: FloatArray, threshold: float) -> FloatArray:
        potential, spikes, trace = (np.zeros(len(self.leak)) for _ in range(3))
        found = np.empty((len(series), len(self.leak)))
        drive = np.outer(series, self.inputs) + self.bias
        for step, driven in enumerate(drive):
            # A spike takes the threshold off its neuron's potential, and reaches the others a step later.
            potential = (1 - self.leak) * (potential - threshold * spikes) + self.weights @ spikes + driven
            spikes = (potential > threshold).astype(np.float64)
            trace = (1 - self.leak) * trace + spikes
            found[step] = np.where(np.isfinite(potential), trace, np.nan)
        return found

    def jacobians(self, states: FloatArray, series: FloatArray) -> FloatArray:
        """Return the derivative of each state by the one before, shape (steps - 1, neurons, neurons).

        That of a spike, which has none, is the surrogate 1 / (1 + |potential - threshold|)^2, taken at the trace.
        """
        keep = np.diag(1 - self.leak)
        drive = np.outer(series[1:], self.inputs) + self.bias
        before = states[:-1]
        if self.threshold is None:
            slopes = self.leak * (1 - np.square(np.tanh(before @ self.weights.T + drive)))
        else:
            slopes = 1 / np.square(1 + np.abs(before @ self.weights.T + drive - self.threshold))
        return np.asarray(keep + slopes[:, :, np.newaxis] * self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A reservoir with a readout, shape (neurons + 1,), the intercept last; series are scaled by mean and deviation."""

    reservoir: Reservoir
    readout: FloatArray
    mean: float
    deviation: float
    horizon: int
    washout: int

    def forecast(self, series: FloatArray) -> FloatArray:
        """Return for each step what the series is expected to be `horizon` steps later, shape (steps,).

        The first `washout` steps still depend on how the reservoir began, and are NaN.

        Raises:
            ValueError: The series is no longer than the washout, or not finite.
        """
        series = np.asarray(series, dtype=np.float64)
        if series.ndim != 1 or len(series) <= self.washout or not np.isfinite(series).all():
            raise ValueError(
                f"expected a series of more than {self.washout} finite numbers, found shape {series.shape}"
            )
        states = self.reservoir.states((series - self.mean) / self.deviation)
        found = (states @ self.readout[:-1] + self.readout[-1]) * self.deviation + self.mean
        found[: self.washout] = np.nan
        return np.asarray(found)


def load_reservoir(folder: Path | str = HERE) -> Network:
    """Return the network that reservoir.json and weights.npz in `folder` describe."""
    plan = json.loads((Path(folder) / "reservoir.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"reservoir.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    with np.load(Path(folder) / "weights.npz", allow_pickle=False) as stored:
        count = len(stored["leak"])
        weights = np.zeros((count, count))
        weights[stored["to"], stored["from"]] = stored["values"]
        reservoir = Reservoir(weights, stored["inputs"], stored["bias"], stored["leak"], plan["threshold"])
        return Network(reservoir, stored["readout"], plan["mean"], plan["deviation"], plan["horizon"], plan["washout"])
