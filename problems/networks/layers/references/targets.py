"""From a method that can keep more or less of each layer to the genomes at its targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, Reference
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.space import IntArray

__all__ = ["AtBytes", "AtShares", "most_within"]

HALVINGS = 60  # as fine as a float


@dataclass(frozen=True, slots=True)
class AtShares(AtTargets):
    """A method that keeps a share of the weights of all layers that can be pruned.

    A layer takes the lowest level that keeps at least as many weights as the method says, so that slightly more than
    the percentage in a reference's name may stay.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
    """

    percentages: tuple[int, ...] = (50, 25, 10, 5)

    def along(self, name: str, inputs: LayerReferenceInputs, counts: Callable[[float], FloatArray]) -> Found:
        """Return `name-P` for each target; `counts` takes a share and returns weights to keep, shape (layers,)."""
        return Found(
            tuple(Reference(f"{name}-{each}", inputs.levels.keeping(counts(each / 100))) for each in self.percentages)
        )


@dataclass(frozen=True, slots=True)
class AtBytes(AtTargets):
    """A method that goes from the unpruned genome to the coarsest, and stops where few enough bytes are left.

    Args:
        percentages: The targets, whole percentages of the bytes of all layers that can be rounded.
    """

    percentages: tuple[int, ...] = (50, 25, 20, 15, 10)

    def along(self, name: str, inputs: LayerReferenceInputs, genomes: IntArray) -> Found:
        """Return `name-P`, the first of the genomes, shape (n, layers), within P %; what none reaches is left out."""
        levels = inputs.levels
        stored = levels.stored[np.arange(len(levels.layers)), levels.decode(genomes)].sum(axis=1)
        full, found = int(levels.stored[:, -1].sum()), []
        for percentage in self.percentages:
            within = np.flatnonzero(stored * 100 <= percentage * full)
            if within.size:
                found.append(Reference(f"{name}-{percentage}", genomes[within[0]]))
        return Found(tuple(found))


def most_within(counts_at: Callable[[float], FloatArray], target: float) -> FloatArray:
    """Return the weights to keep of each layer at the highest position from 0 to 1 that keeps at most `target` of all.

    `counts_at` takes a position and returns counts, shape (layers,), that never fall when the position rises; if even
    those at position 0 are more, they are returned.
    """
    low, high = 0.0, 1.0
    if counts_at(high).sum() <= target:
        return counts_at(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if counts_at(middle).sum() <= target else (low, middle)
    return counts_at(low)
