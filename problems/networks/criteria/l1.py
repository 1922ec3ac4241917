"""Channels ranked by the L1 norm of their weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["l1_norms"]


def l1_norms(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of absolute weights of each outgoing channel, shape (channels,).

    `weight` has the outgoing channels on its first axis. Summed in 64 bits, so that the ranking does not depend on the
    order of summation. Source: Li et al., Pruning Filters for Efficient ConvNets, arXiv 1608.08710.
    """
    return np.asarray(np.abs(weight.astype(np.float64)).reshape(len(weight), -1).sum(axis=1))
