"""Digits of which some labels of the training part are wrong; those that candidates are judged on are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import ImageData

__all__ = ["WRONG", "digits_with_wrong_labels"]

WRONG = 0.1  # of the labels of the training part


def digits_with_wrong_labels() -> ImageData:
    """Return the digits with a tenth of the training labels drawn anew among the other classes, always the same."""
    data, rng = digits(), np.random.default_rng(0)
    labels = data.train.labels.copy()
    chosen = rng.permutation(len(labels))[: round(WRONG * len(labels))]
    classes = int(labels.max()) + 1
    labels[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return replace(data, train=replace(data.train, labels=labels))
