"""Statistics of how well one ranking foretells another, each for many weighted samples at once.

A statistic is a function of counts of shape (samples, n): how often each of n candidates is in each sample. All ones
give the value itself, drawn counts a bootstrap. Both rankings are of numbers to be minimised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError
from emoprune.space import IntArray

__all__ = ["Statistic", "anomaly_ratio", "kendall_tau", "partial_tau", "regret", "spearman"]

Statistic = Callable[[FloatArray], FloatArray]  # counts (samples, n) -> values (samples,), NaN where undefined


def kendall_tau(proxy: FloatArray, final: FloatArray, bands: IntArray | None = None) -> Statistic:
    """Return Kendall's tau-b between two rankings, both of shape (n,): 1 the same order, -1 the reverse.

    Args:
        proxy: What was measured cheaply.
        final: What it stands for.
        bands: Shape (n,); only candidates of the same band are compared. None compares all.
    """
    comparable = _comparable(len(proxy), bands)
    first, second = _signs(proxy) * comparable, _signs(final)

    def tau(counts: FloatArray) -> FloatArray:
        both = _over_pairs(first * second, counts)
        return _ratio(both, _over_pairs(np.abs(first), counts), _over_pairs(np.abs(second) * comparable, counts))

    return _checked(tau, proxy, final)


def partial_tau(proxy: FloatArray, final: FloatArray, cost: FloatArray) -> Statistic:
    """Return Kendall's partial tau between two rankings when a third, the cost, is held fixed; all of shape (n,).

    Undefined (NaN) where the cost alone decides one of them. Source: Kendall, Partial rank correlation, 1942.
    """
    own, first, second = kendall_tau(proxy, final), kendall_tau(proxy, cost), kendall_tau(final, cost)

    def tau(counts: FloatArray) -> FloatArray:
        along, other = first(counts), second(counts)
        return _ratio(own(counts) - along * other, 1 - along**2, 1 - other**2)

    return _checked(tau, proxy, final, cost)


def spearman(proxy: FloatArray, final: FloatArray) -> Statistic:
    """Return Spearman's correlation of mid-ranks between two rankings, both of shape (n,)."""
    below = [
        (column[None, :] < column[:, None]) + 0.5 * (column[None, :] == column[:, None]) for column in (proxy, final)
    ]

    def correlation(counts: FloatArray) -> FloatArray:
        total = counts.sum(axis=1, keepdims=True)
        ranks = [counts @ own.T for own in below]
        first, second = (rank - (counts * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
        both, one, other = ((counts * pair).sum(axis=1) for pair in (first * second, first**2, second**2))
        return _ratio(both, one, other)

    return _checked(correlation, proxy, final)


def anomaly_ratio(proxy: FloatArray, final: FloatArray, bands: IntArray | None = None) -> Statistic:
    """Return the share of candidates whose final result beats that of the one the proxy ranks best.

    Of candidates that the proxy ranks best alike, the first stands for them. With `bands`, shape (n,), each band has a
    best one of its own. Source: Is Oracle Pruning the True Oracle?, arXiv 2412.00143.
    """

    def ratio(counts: FloatArray) -> FloatArray:
        beating = np.zeros(len(counts))
        for own in _bands(len(proxy), bands):
            of_chosen = final[_chosen(proxy, counts, own)]
            beating += (counts * own * (final[None, :] < of_chosen[:, None])).sum(axis=1)
        return np.asarray(beating / counts.sum(axis=1))

    return _checked(ratio, proxy, final)


def regret(proxy: FloatArray, final: FloatArray, bands: IntArray | None = None) -> Statistic:
    """Return how much worse the final result of the proxy's choice is than the best final result, 0 or more.

    With `bands`, shape (n,), the mean over the bands, each by its number of candidates.
    """

    def loss(counts: FloatArray) -> FloatArray:
        total = np.zeros(len(counts))
        for own in _bands(len(proxy), bands):
            present = (counts > 0) & own
            best = np.where(present, final[None, :], np.inf).min(axis=1)
            lost = np.where(present.any(axis=1), final[_chosen(proxy, counts, own)] - best, 0.0)
            total += lost * (counts * own).sum(axis=1)
        return np.asarray(total / counts.sum(axis=1))

    return _checked(loss, proxy, final)


def _chosen(proxy: FloatArray, counts: FloatArray, own: NDArray[np.bool_]) -> IntArray:
    """Return which candidate of a band the proxy ranks best in each sample, shape (samples,)."""
    return np.asarray(np.where((counts > 0) & own, proxy[None, :], np.inf).argmin(axis=1))


def _signs(column: FloatArray) -> FloatArray:
    return np.sign(column[:, None] - column[None, :])


def _comparable(count: int, bands: IntArray | None) -> FloatArray:
    return np.ones((count, count)) if bands is None else (bands[:, None] == bands[None, :]).astype(np.float64)


def _bands(count: int, bands: IntArray | None) -> list[NDArray[np.bool_]]:
    return [np.ones(count, dtype=np.bool_)] if bands is None else [bands == own for own in np.unique(bands)]


def _over_pairs(pairs: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the sum over all pairs of each sample, shape (samples,); a candidate is no pair with itself."""
    return np.asarray(((counts @ pairs) * counts).sum(axis=1))


def _ratio(above: FloatArray, one: FloatArray, other: FloatArray) -> FloatArray:
    below = np.sqrt(np.maximum(one * other, 0.0))
    defined = below > 1e-12
    return np.where(defined, np.clip(above / np.where(defined, below, 1.0), -1.0, 1.0), np.nan)


def _checked(statistic: Statistic, *columns: FloatArray) -> Statistic:
    shapes = [column.shape for column in columns]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1 or shapes[0][0] < 2:
        raise ContractError(f"expected columns of one length, 2 candidates or more, found shapes {shapes}")
    if not all(np.isfinite(column).all() for column in columns):
        raise ContractError("expected finite results of all candidates, found NaN or infinities; leave failures out")
    return statistic
