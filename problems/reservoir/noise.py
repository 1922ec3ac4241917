"""What noise in a linearised network says of its edges and neurons, without any task."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_continuous_lyapunov
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from emoprune.problems.reservoir.standalone.reservoir import FloatArray

__all__ = ["betweenness", "covariance", "edge_importance"]

STABLE = 0.95  # to which a larger spectral radius is scaled, for there is no covariance of a network that explodes
LARGEST = 1e100  # importance, so that sums of it stay finite


def covariance(weights: FloatArray) -> FloatArray:
    """Return the covariance of dx = -A x dt + dW with A = 1 - weights, which solves A C + C A' = 1.

    Weights with a spectral radius above `STABLE` are scaled down to it first; shape (neurons, neurons).
    """
    radius = float(np.abs(np.linalg.eigvals(weights)).max(initial=0.0))
    scaled = weights * min(1.0, STABLE / radius) if radius > 0 else weights
    decay = np.eye(len(weights)) - scaled
    shift = max(0.0, 1 - STABLE - float(np.linalg.eigvals(decay).real.min()))
    decay += shift * np.eye(len(weights))
    return np.asarray(solve_continuous_lyapunov(decay, np.eye(len(weights))))


def edge_importance(weights: FloatArray) -> FloatArray:
    """Return |w_ij| (C_ii + C_jj - 2 sgn(w_ij) C_ij), the rule of noise pruning, shape (neurons, neurons).

    An edge is worth more between neurons that its sign does not already bind together.
    """
    spread = covariance(weights)
    own = np.diag(spread)
    with np.errstate(over="ignore"):
        found = np.abs(weights) * (own[:, None] + own[None, :] - 2 * np.sign(weights) * spread)
    return np.asarray(np.clip(found, 0.0, LARGEST))


def betweenness(strengths: FloatArray) -> FloatArray:
    """Return how many shortest paths lead through each neuron, an edge being as long as it is weak.

    Args:
        strengths: From neuron j to neuron i, not below zero, shape (neurons, neurons).
    """
    count = len(strengths)
    lengths = np.where(strengths > 0, 1 / np.where(strengths > 0, strengths, 1.0), 0.0)
    distances, before = shortest_path(csr_array(lengths.T), "D", return_predecessors=True)
    through = np.zeros((count, count))  # of each source, the paths that pass a neuron
    order = np.argsort(-np.where(np.isfinite(distances), distances, -1), axis=1, kind="stable")
    sources = np.arange(count)
    for place in range(count):
        farthest = order[:, place]
        previous = before[sources, farthest]
        reached = (previous >= 0) & (previous != sources)
        np.add.at(through, (sources[reached], previous[reached]), 1 + through[sources[reached], farthest[reached]])
    return np.asarray(through.sum(axis=0))
