"""What a network of given widths costs, counted exactly: multiply-accumulates for one image, and parameters."""

from __future__ import annotations

import itertools
import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.networks.architecture import NORMALISED, Architecture, Layer
from emoprune.space import IntArray

__all__ = ["Cost", "count"]


class Cost(StrEnum):
    """What is counted."""

    MACS = "macs"
    PARAMETERS = "parameters"


def count(cost: Cost, architecture: Architecture, widths: IntArray) -> IntArray:
    """Return the cost of each row of `widths`, shape (n, prunable layers), as whole numbers of shape (n,).

    `macs`: multiply-accumulates of convolutions and linear layers for one image, biases not counted.
    `parameters`: weights, biases and batch-norm weights; running statistics are not parameters.
    """
    incoming, outgoing = _ends(architecture, widths)
    weights = _kernels(architecture) * incoming * outgoing
    if cost is Cost.MACS:
        return np.asarray((weights * _positions(architecture)).sum(axis=1))
    return np.asarray(weights.sum(axis=1) + (outgoing * _per_output(architecture)).sum(axis=1))


def _ends(architecture: Architecture, widths: IntArray) -> tuple[IntArray, IntArray]:
    """Return how many channels or features go into and out of each weighted layer, both (n, weighted layers)."""
    layers = [architecture.layers[i] for i in architecture.weighted]
    column = np.ones((len(widths), 1), dtype=np.int64)
    incoming = np.hstack([column * layers[0].widths[0], widths * _multipliers(layers)])
    outgoing = np.hstack([widths, column * layers[-1].widths[1]])
    return incoming, outgoing


def _multipliers(layers: list[Layer]) -> IntArray:
    """Return how many features each channel has become by the time the next weighted layer sees it."""
    pairs = itertools.pairwise(layers)
    return np.array([later.widths[0] // earlier.widths[1] for earlier, later in pairs], dtype=np.int64)


def _kernels(architecture: Architecture) -> NDArray[np.int64]:
    """Return how many weights join one incoming to one outgoing channel: 9 for a 3x3 kernel, 1 for a linear layer."""
    return np.array([architecture.layers[i].kernel_area for i in architecture.weighted], dtype=np.int64)


def _positions(architecture: Architecture) -> NDArray[np.int64]:
    """Return at how many places of the image each weighted layer is applied."""
    return np.array([math.prod(architecture.shapes[i][1:]) for i in architecture.weighted], dtype=np.int64)


def _per_output(architecture: Architecture) -> NDArray[np.int64]:
    """Return the parameters that come with each outgoing channel: its bias and the batch norms behind it."""
    extra = []
    for layer in architecture.layers:
        if "bias" in layer.options:
            width = layer.widths[1]
            extra.append(int(bool(layer.options["bias"])))
        elif layer.kind in NORMALISED and layer.options["affine"]:
            extra[-1] += 2 * layer.widths[1] // width
    return np.array(extra, dtype=np.int64)
