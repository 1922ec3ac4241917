"""The PQ index: how unequal weights are in size, and so how many of them can go."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emoprune.errors import ConfigError

__all__ = ["P", "Q", "pq_index", "pq_index_of"]

# With these, 1 minus the index is the share of the weights that the paper's bound says must stay.
P, Q = 0.5, 1.0


def pq_index(
    weights: NDArray[np.floating], p: float = P, q: float = Q, remaining: NDArray[np.bool_] | None = None
) -> float:
    """Return the PQ index of weights of any shape, without a unit: 0 where all have one size, larger the more unequal.

    With d remaining weights it is 1 - d^(1/q - 1/p) |w|_p / |w|_q, at most 1 - d^(1/q - 1/p), which one weight among
    zeros reaches. No weights, or only zeros, give 0. Source: Diao et al., Pruning Deep Neural Networks from a Sparsity
    Perspective, arXiv 2302.05601.

    Args:
        weights: The weights.
        p: The norm that counts, above 0.
        q: The norm that weighs, above p.
        remaining: Which weights are not pruned away, in the shape of `weights`; None if all are there.

    Raises:
        ConfigError: Not 0 < p < q.
    """
    _check(p, q)
    sizes = np.abs(np.asarray(weights, dtype=np.float64))
    return _index_of(sizes.ravel() if remaining is None else sizes[remaining], p, q)


def pq_index_of(network: nn.Module, p: float = P, q: float = Q) -> float:
    """Return the PQ index of all remaining weights together, of tensors with more than one dimension.

    A weight that is exactly zero counts as pruned away.
    """
    _check(p, q)
    sizes = _remaining(network)
    return _index_of(np.concatenate(sizes), p, q) if sizes else 0.0


def _check(p: float, q: float) -> None:
    if not 0 < p < q:
        raise ConfigError(f"PQ index: expected 0 < p < q, found p = {p} and q = {q}; the paper has 0.5, 1 and 1, 2")


def _remaining(network: nn.Module) -> list[NDArray[np.float64]]:
    weights = [each.detach().cpu().double().numpy() for each in network.parameters() if each.dim() > 1]
    return [np.abs(own[own != 0]) for own in weights]


def _index_of(sizes: NDArray[np.float64], p: float, q: float) -> float:
    largest = sizes.max(initial=0.0)
    if largest == 0:
        return 0.0
    scaled = sizes / largest  # powers of very small or large weights would leave the range of a float
    count_factor = math.pow(len(sizes), 1 / q - 1 / p)
    norms = math.pow(float(np.sum(scaled**p)), 1 / p) / math.pow(float(np.sum(scaled**q)), 1 / q)
    # Rounding alone can leave the range that the definition implies.
    return min(max(1 - count_factor * norms, 0.0), 1 - count_factor)
