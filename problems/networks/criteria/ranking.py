"""From one number per unit to the units that stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.space import IntArray

__all__ = ["kept_units", "normalised", "widths_of_global_threshold"]


def kept_units(scores: Scores, width: int) -> IntArray:
    """Return the rising indices of the `width` units with the highest scores; of equal ones the first stay."""
    best = np.argsort(-scores, kind="stable")[:width]
    return np.sort(best)


def widths_of_global_threshold(scores: Sequence[Scores], share: float, floors: IntArray) -> IntArray:
    """Return how many units each group keeps, shape (groups,), when one threshold keeps `share` of all of them.

    Scores are divided by their group's L2 norm first, without which the threshold would compare groups of different
    fan-in; every group keeps at least its floor, shape (groups,). Source of the normalisation: Molchanov et al.,
    Pruning Convolutional Neural Networks for Resource Efficient Inference, arXiv 1611.06440; of the floors: Gupta et
    al., Is Complexity Required for Neural Network Pruning?, arXiv 2209.14624.
    """
    group = np.repeat(np.arange(len(scores)), [len(own) for own in scores])
    flat = np.concatenate([normalised(own) for own in scores])
    total = max(1, round(share * len(flat)))
    best = np.argsort(-flat, kind="stable")[:total]
    return np.maximum(floors, np.bincount(group[best], minlength=len(scores)))


def normalised(scores: Scores) -> Scores:
    """Return scores of L2 norm 1, or as they are if all are zero."""
    norm = np.linalg.norm(scores)
    return scores / norm if norm > 0 else scores
