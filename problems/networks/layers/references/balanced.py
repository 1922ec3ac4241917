"""Layer densities with which every layer keeps as many weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.channels.references.ratios import balanced_densities
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares

__all__ = ["Balanced"]


@about(
    "pruning",
    ["layers"],
    serves=("weight-ratios", "transformer-weight-ratios"),
    cost="counting weights; nothing is run",
    papers=[Paper("Why Random Pruning Is All We Need to Start Sparse", "2210.02412")],
)
@dataclass(frozen=True, slots=True)
class Balanced(AtShares):
    """Genomes of balanced densities: every layer keeps as many weights as any other, or all it has.

    Source: Gadhikar et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.
    """

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target."""
        sizes = inputs.levels.sizes.astype(np.float64)
        return self.along("balanced", inputs, lambda share: sizes * balanced_densities(sizes, share))
