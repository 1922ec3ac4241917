"""How strongly each layer is pruned when one number says how much of the network stays: pure functions on arrays.

A density is the share of a layer's weights that stays. Layers come in the order in which they run.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError

__all__ = [
    "balanced_densities",
    "balanced_preferences",
    "erk_densities",
    "erk_preferences",
    "kept_share_of_pq",
    "proportional",
    "pyramidal_densities",
]


def erk_preferences(sizes: ArrayLike, dimensions: ArrayLike) -> FloatArray:
    """Return what ERK densities are proportional to: the sum of a weight's dimensions over its number of weights.

    Args:
        sizes: How many weights each layer has, shape (layers,).
        dimensions: The sum of the dimensions of each layer's weight, shape (layers,).
    """
    return np.asarray(dimensions, dtype=np.float64) / np.asarray(sizes, dtype=np.float64)


def erk_densities(sizes: ArrayLike, dimensions: ArrayLike, density: float) -> FloatArray:
    """Return densities proportional to `erk_preferences`, none above 1, that together keep `density` of all weights.

    What a layer cannot take because it is dense already goes to the others in proportion: Evci et al., Rigging the
    Lottery: Making All Tickets Winners, arXiv 1911.11134.

    Raises:
        ContractError: The density is not above 0 and at most 1, or a layer has no weights.
    """
    counted = _sizes(sizes, density)
    preferences = erk_preferences(counted, dimensions)
    return np.asarray(proportional(preferences, np.array([_filling_scale(counted, preferences, density)]))[0])


def balanced_preferences(sizes: ArrayLike) -> FloatArray:
    """Return what balanced densities are proportional to, shape (layers,): every layer keeps as many weights."""
    return 1 / np.asarray(sizes, dtype=np.float64)


def balanced_densities(sizes: ArrayLike, density: float) -> FloatArray:
    """Return densities with which every layer keeps as many weights as any other, or all it has.

    As published, what small layers cannot take is not given to others, so fewer than `density` of all weights may stay:
    Gadhikar et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.

    Raises:
        ContractError: The density is not above 0 and at most 1, or a layer has no weights.
    """
    counted = _sizes(sizes, density)
    evenly = density * counted.sum() / len(counted)
    return np.asarray(proportional(balanced_preferences(counted), np.array([evenly]))[0])


def pyramidal_densities(sizes: ArrayLike, density: float) -> FloatArray:
    """Return densities r, r^2, r^3, ..., the r being the one with which `density` of all weights stays.

    Source: Gadhikar et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.

    Raises:
        ContractError: The density is not above 0 and at most 1, or a layer has no weights.
    """
    from scipy.optimize import brentq

    counted = _sizes(sizes, density)
    depth = np.arange(1, len(counted) + 1)
    root = brentq(lambda r: float(counted @ r**depth) - density * counted.sum(), 0.0, 1.0, xtol=1e-15, rtol=1e-14)
    return np.asarray(float(root) ** depth, dtype=np.float64)


def proportional(preferences: FloatArray, scales: FloatArray) -> FloatArray:
    """Return densities proportional to `preferences`, (layers,), and at most 1: shape (n, layers), a row per scale."""
    return np.asarray(np.minimum(1.0, scales[:, np.newaxis] * preferences))


def kept_share_of_pq(
    index: float, count: int, p: float, q: float, *, eta: float = 0.0, gamma: float = 1.0, beta: float = 0.9
) -> float:
    """Return the share of `count` weights of this PQ index that one round of SAP keeps.

    The index bounds from below how many must stay: count (1 + eta)^(-q / (q - p)) (1 - index)^(pq / (q - p)). Source:
    Diao et al., Pruning Deep Neural Networks from a Sparsity Perspective, arXiv 2302.05601.

    Args:
        index: The PQ index of the weights.
        count: How many weights there are; of none, all are kept.
        p: The index's first norm.
        q: The index's second norm, above p.
        eta: How much the norm may change by what goes.
        gamma: By what the share that goes is multiplied.
        beta: The largest share that goes in one round.
    """
    if count == 0:
        return 1.0
    # A product that is whole but for its last bits must not be rounded up to the next number.
    exact = count * math.pow(1 + eta, -q / (q - p)) * math.pow(1 - index, p * q / (q - p))
    staying = math.ceil(exact - 1e-9 * count)
    return 1.0 - min(max(gamma * (1 - staying / count), 0.0), beta)


def _sizes(sizes: ArrayLike, density: float) -> NDArray[np.float64]:
    counted = np.asarray(sizes, dtype=np.float64)
    if counted.ndim != 1 or len(counted) == 0 or not (counted > 0).all():
        raise ContractError(f"sizes: expected at least one layer, each with weights, found {counted.tolist()}")
    if not 0 < density <= 1:
        raise ContractError(f"density: expected a share above 0 and at most 1, found {density}")
    return counted


def _filling_scale(sizes: FloatArray, preferences: FloatArray, density: float) -> float:
    """Return the scale at which proportional densities, clamped at 1, keep `density` of all weights."""
    order = np.argsort(-preferences, kind="stable")  # the first to become dense first
    own, preferred = sizes[order], preferences[order]
    dense_before = np.cumsum(own) - own
    rest = np.cumsum((own * preferred)[::-1])[::-1]
    scales = (density * sizes.sum() - dense_before) / rest
    return float(scales[np.flatnonzero(scales * preferred <= 1 + 1e-12)[0]])
