"""Deletion at a rate: what is scored highest stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Reference
from emoprune.space import IntArray, Space

__all__ = ["SHARES", "at_share", "at_shares", "kept_by", "random_order"]

FloatArray = NDArray[np.float64]

SHARES = (0.75, 0.5, 0.25)  # of the tokens that stay


def kept_by(scores: FloatArray, space: Space, share: float) -> IntArray:
    """Return the genome that keeps a `share` of the free genes, those with the highest scores, at least one."""
    free = np.flatnonzero(space.free)
    count = max(1, round(share * len(free)))
    genome = np.where(space.free, 0, space.full)
    genome[free[np.argsort(-scores[free], kind="stable")[:count]]] = 1
    return genome


def random_order(space: Space, rng: np.random.Generator) -> FloatArray:
    """Return random scores, shape (genes,)."""
    return rng.random(len(space))


def at_share(name: str, share: float) -> str:
    """Return what the reference of a method is called that keeps a share of the tokens."""
    return f"{name}-{round(100 * share)}"


def at_shares(name: str, scores: FloatArray, space: Space) -> tuple[Reference, ...]:
    """Return a reference for each of `SHARES`, in which the tokens with the highest scores, shape (genes,), stay."""
    return tuple(Reference(at_share(name, share), kept_by(scores, space, share)) for share in SHARES)
