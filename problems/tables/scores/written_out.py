"""The metrics that are asked for most, written out: a scorer takes a hundred times as long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["OF_NUMBERS", "WRITTEN_OUT"]

FloatArray = NDArray[np.float64]
Weights = FloatArray | None
Score = Callable[[FloatArray, FloatArray, Weights], float]  # of target, predictions (n,) or (n, classes), and weights


def _error(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average(predictions.argmax(axis=1) != target, weights=weights))


def _log_loss(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    sure = np.clip(predictions[np.arange(len(target)), target.astype(np.int64)], np.finfo(np.float64).eps, 1.0)
    return float(np.average(-np.log(sure), weights=weights))


def _roc_auc(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:  # noqa: ARG001  # with weights scikit-learn's is taken
    """Return the share of pairs in the right order, ties counted half; 0.5 where a class has no rows."""
    scores, positive = predictions[:, 1], target == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return 0.5
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / pairs)


def _mean_squared(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average((target - predictions) ** 2, weights=weights))


def _root_mean_squared(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.sqrt(_mean_squared(target, predictions, weights)))


def _mean_absolute(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return float(np.average(np.abs(target - predictions), weights=weights))


def _accuracy(target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    return 1.0 - _error(target, predictions, weights)


OF_NUMBERS: Mapping[str, Score] = MappingProxyType(
    {
        "root_mean_squared_error": _root_mean_squared,
        "mean_squared_error": _mean_squared,
        "mean_absolute_error": _mean_absolute,
    }
)
WRITTEN_OUT: Mapping[str, Score] = MappingProxyType(
    {
        "error": _error,
        "accuracy": _accuracy,
        "log_loss": _log_loss,
        "roc_auc": _roc_auc,
        **OF_NUMBERS,
    }
)
