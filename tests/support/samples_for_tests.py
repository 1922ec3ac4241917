"""Rows with wrong labels, as functions that configs name as import targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

__all__ = ["alone", "mislabelled"]

Frame = tuple[dict[str, Any], Any]


def mislabelled(rows: int = 1797, share: float = 0.2) -> Frame:
    """Return images of digits as columns, a share of them with another label."""
    data, rng = load_digits(), np.random.default_rng(0)
    chosen = rng.permutation(len(data.target))[:rows]
    target = data.target[chosen].copy()
    wrong = rng.random(rows) < share
    target[wrong] = (target[wrong] + rng.integers(1, 10, int(wrong.sum()))) % 10
    columns = {f"p{place}": column for place, column in enumerate(data.data[chosen].T.astype(float)) if np.ptp(column)}
    return columns, np.array([f"digit {label}" for label in target], dtype=object)


def alone(rows: int = 60) -> Frame:
    """Return rows of one class."""
    return {"a": np.arange(rows) % 7.0}, np.full(rows, "yes", dtype=object)
