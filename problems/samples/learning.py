"""Teacher and student in closed form: ridge regression of classes, for the teacher on random features; neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from emoprune.errors import ConfigError
from emoprune.problems.storage.located import located
from emoprune.space import IntArray

__all__ = ["RANDOM_FEATURES", "neighbours", "one_hot", "probabilities", "ridge", "teacher_of"]

FloatArray = NDArray[np.float64]

RANDOM_FEATURES = 600  # of the teacher
NEIGHBOURS = 10
TEACHER_PENALTY = 1e-2  # for each row: a teacher that knows its rows by heart repeats their wrong labels
NONE, RIDGE = "none", "ridge"


def one_hot(labels: IntArray, classes: int) -> FloatArray:
    """Return a row of noughts and a one for each label, shape (n, classes)."""
    return np.eye(classes)[labels]


def ridge(inputs: FloatArray, targets: FloatArray, penalty: float) -> FloatArray:
    """Return weights and, last, intercepts, shape (d + 1, classes), for targets of shape (n, classes)."""
    means, levels = inputs.mean(axis=0), targets.mean(axis=0)
    centred = inputs - means
    normal = centred.T @ centred + penalty * len(inputs) * np.eye(inputs.shape[1])
    weights = cho_solve(cho_factor(normal), centred.T @ (targets - levels))
    return np.vstack([weights, levels - means @ weights])


def probabilities(weights: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return what ridge regression says of each class, cut off at nought and summing to one, shape (n, classes)."""
    found = np.maximum(inputs @ weights[:-1] + weights[-1], 1e-9)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def neighbours(known: FloatArray, targets: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return the mean target of the nearest known rows, shape (n, classes)."""
    count = min(NEIGHBOURS, len(known))
    distances = np.square(known).sum(axis=1)[None] - 2 * inputs @ known.T
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return np.asarray(targets[nearest].mean(axis=1))


def teacher_of(name: str, features: FloatArray, labels: IntArray, classes: int, seed: int) -> FloatArray | None:
    """Return the teacher's probabilities for the rows that it learnt from, shape (n, classes); None without one.

    Raises:
        ConfigError: A file of them is missing, cannot be read, or does not fit the rows.
    """
    if name == NONE:
        return None
    if name != RIDGE:
        return _given(name, (len(features), classes))
    rng = np.random.default_rng([seed, 6])
    width = np.sqrt(features.shape[1])
    ways = rng.normal(size=(features.shape[1], RANDOM_FEATURES)) / width
    inputs = np.cos(features @ ways + rng.uniform(0, 2 * np.pi, RANDOM_FEATURES))
    return probabilities(ridge(inputs, one_hot(labels, classes), TEACHER_PENALTY), inputs)


def _given(name: str, shape: tuple[int, int]) -> FloatArray:
    place: Path | None = located(name)
    if place is None:
        raise ConfigError(
            f"teacher: expected {RIDGE}, {NONE}, or a .npy file here or beside the config, found {name!r}"
        )
    try:
        found = np.asarray(np.load(place, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher: {name} cannot be read as an array: {error}; write it with numpy.save") from error
    if found.shape != shape or not np.isfinite(found).all() or (found < 0).any():
        raise ConfigError(
            f"teacher: {name}: expected probabilities of shape {shape}, a row for each training row, found shape "
            f"{found.shape}, or numbers that are none"
        )
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12))
