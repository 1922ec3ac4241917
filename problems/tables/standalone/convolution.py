"""A light convolution network over the columns of a row; needs numpy, nothing else.

from convolution import load_network
network = load_network()
network.predict(rows)  # the kept columns, in the order of network.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FORMAT = "emoprune.convolution/1"
TAPS = 3  # columns that a filter sees at a time

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Two convolutions over a row's columns, their mean over the columns, and a linear layer.

    Args:
        weights: `mean` and `deviation` of the columns; `first` (channels, 1, taps), `second` (channels, channels,
            taps), `head` (outputs, channels), a `*_bias` of each, and `level` and `spread` of a target of numbers.
        classes: Whether the outputs are classes.
    """

    weights: Mapping[str, FloatArray]
    classes: bool

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels the two layers have."""
        return len(self.weights["first"]), len(self.weights["second"])

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return numbers, shape (n,), or probabilities, shape (n, classes); gaps count as the mean."""
        own = self.weights
        scaled = (inputs - own["mean"]) / own["deviation"]
        scaled = np.where(np.isnan(scaled), 0.0, scaled)[:, np.newaxis, :]
        for name in ("first", "second"):
            scaled = np.maximum(_convolved(scaled, own[name]) + own[f"{name}_bias"][:, np.newaxis], 0.0)
        scores = scaled.mean(axis=2) @ own["head"].T + own["head_bias"]
        if not self.classes:
            return np.asarray(scores[:, 0] * own["spread"] + own["level"])
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _convolved(inputs: FloatArray, filters: FloatArray) -> FloatArray:
    """Return filters over inputs with a border of noughts, (n, channels, columns) to (n, filters, columns)."""
    padded = np.pad(inputs, ((0, 0), (0, 0), (TAPS // 2, TAPS // 2)))
    columns = inputs.shape[2]
    seen = np.stack([padded[:, :, tap : tap + columns] for tap in range(TAPS)], axis=3)
    return np.asarray(np.einsum("nckt,fct->nfk", seen, filters, optimize=True))


def load_network(folder: Path | str = HERE) -> Network:
    """Return the network that network.json and network.npz in `folder` hold."""
    plan = json.loads((Path(folder) / "network.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"network.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    with np.load(Path(folder) / "network.npz", allow_pickle=False) as stored:
        return Network({name: stored[name] for name in stored.files}, plan["classes"])
