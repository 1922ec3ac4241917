"""From one number per channel to the channels that stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.space import IntArray

__all__ = ["Scores", "kept_channels", "widths_of_global_threshold"]

Scores = NDArray[np.float64]


def kept_channels(scores: Scores, width: int) -> IntArray:
    """Return the rising indices of the `width` channels with the highest scores; of equal ones the first stay."""
    best = np.argsort(-scores, kind="stable")[:width]
    return np.sort(best)


def widths_of_global_threshold(scores: Sequence[Scores], share: float) -> IntArray:
    """Return how many channels each layer keeps, shape (layers,), when one threshold keeps `share` of all of them.

    Scores are divided by their layer's L2 norm first, without which the threshold would compare layers of different
    fan-in; every layer keeps at least one channel. Source of the normalisation: Molchanov et al., Pruning Convolutional
    Neural Networks for Resource Efficient Inference, arXiv 1611.06440.
    """
    layer = np.repeat(np.arange(len(scores)), [len(own) for own in scores])
    normalised = np.concatenate([_unit(own) for own in scores])
    total = max(1, round(share * len(normalised)))
    best = np.argsort(-normalised, kind="stable")[:total]
    return np.maximum(1, np.bincount(layer[best], minlength=len(scores)))


def _unit(scores: Scores) -> Scores:
    norm = np.linalg.norm(scores)
    return scores / norm if norm > 0 else scores
