"""What a network scores that has learnt nothing: scores that cannot be told from it mean nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.problems.networks.statistics.intervals import wilson
from emoprune.space import IntArray

__all__ = ["guessing", "guessing_loss", "indistinguishable_from_guessing"]


def guessing(labels: IntArray) -> float:
    """Return the error of always saying the largest class, from labels of shape (n,)."""
    return 1.0 - float(np.bincount(labels).max()) / len(labels)


def guessing_loss(labels: IntArray) -> float:
    """Return the cross-entropy in nats of knowing nothing but how large each class is, from labels of shape (n,)."""
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def indistinguishable_from_guessing(errors: FloatArray, labels: IntArray) -> NDArray[np.bool_]:
    """Say which errors, shape (candidates,), on images with these labels reach guessing in their Wilson interval."""
    return np.asarray(wilson(np.round(errors * len(labels)), len(labels))[1] >= guessing(labels))
