"""Which channel each index along each axis of a tensor belongs to, and what reshaping does to that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOWHERE", "Axes", "Block", "Labels", "blocks", "merged"]

Labels = NDArray[np.int64]  # along one axis, the channel that each index belongs to
NOWHERE = -1  # where an index belongs to no channel
Axes = tuple[Labels | None, ...]  # of a tensor; None is an axis along which nothing ever goes


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring axes of a tensor that a reshape turns into other neighbouring axes."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def blocks(before: Sequence[int], after: Sequence[int]) -> Iterator[Block]:
    """Yield the smallest blocks of axes in which a reshape from one shape to another takes place."""
    one = other = 0
    while one < len(before) or other < len(after):
        start, other_start = one, other
        left = right = 1
        if one < len(before):
            left, one = before[one], one + 1
        if other < len(after):
            right, other = after[other], other + 1
        while left != right:
            if left < right:
                left, one = left * before[one], one + 1
            else:
                right, other = right * after[other], other + 1
        # What is of one index alone goes with what stands before it.
        while one < len(before) and before[one] == 1 and (other == len(after) or after[other] != 1):
            one += 1
        while other < len(after) and after[other] == 1 and (one == len(before) or before[one] != 1):
            other += 1
        yield Block(tuple(range(start, one)), tuple(range(other_start, other)))


def merged(sizes: Sequence[int], own: int, labels: Labels) -> Labels:
    """Return the labels along axes of these sizes laid out as one, if those of the axis `own` are given."""
    shape = [1] * len(sizes)
    shape[own] = sizes[own]
    return np.ascontiguousarray(np.broadcast_to(labels.reshape(shape), sizes)).reshape(math.prod(sizes))
