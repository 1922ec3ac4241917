"""From one number per unit to the units that stay."""

from __future__ import annotations

import numpy as np

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.space import IntArray

__all__ = ["kept_units", "normalised"]


def kept_units(scores: Scores, width: int) -> IntArray:
    """Return the rising indices of the `width` units with the highest scores; of equal ones the first stay."""
    best = np.argsort(-scores, kind="stable")[:width]
    return np.sort(best)


def normalised(scores: Scores) -> Scores:
    """Return scores of L2 norm 1, or as they are if all are zero."""
    norm = np.linalg.norm(scores)
    return scores / norm if norm > 0 else scores
