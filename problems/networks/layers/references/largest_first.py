"""Layers rounded in turn, the largest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, about
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtBytes
from emoprune.problems.networks.layers.treatments.levels import LayerLevels, going_down
from emoprune.space import IntArray

__all__ = ["LargestFirst", "largest_first"]


@about(
    "quantisation",
    ["layers"],
    serves=("bit-widths", "transformer-bit-widths"),
    cost="counting bytes; nothing is run",
)
@dataclass(frozen=True, slots=True)
class LargestFirst(AtBytes):
    """Genomes in which the largest layers have the fewest bits: all go one level down in turn, the largest first."""

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target that can be reached."""
        return self.along("largest-first", inputs, largest_first(inputs.levels))


def largest_first(levels: LayerLevels) -> IntArray:
    """Return the genomes from unpruned to coarsest, the layers going one level down in turn, the largest layer first.

    Shape (steps + 1, layers).
    """
    by_size = np.argsort(-levels.sizes, kind="stable").tolist()
    full = levels.space.full.tolist()
    steps = [layer for down in range(max(full)) for layer in by_size if full[layer] > down]
    return going_down(levels, steps)
