"""Layer densities that fall with depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.channels.references.ratios import pyramidal_densities
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares

__all__ = ["Pyramidal"]


@about(
    "pruning",
    ["layers"],
    serves=("weight-ratios", "transformer-weight-ratios"),
    cost="counting weights; nothing is run",
    papers=[Paper("Why Random Pruning Is All We Need to Start Sparse", "2210.02412")],
)
@dataclass(frozen=True, slots=True)
class Pyramidal(AtShares):
    """Genomes of pyramidal densities: the l-th layer keeps r^l, for an r between 0 and 1.

    Source: Gadhikar et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.
    """

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target."""
        sizes = inputs.levels.sizes.astype(np.float64)
        return self.along("pyramidal", inputs, lambda share: sizes * pyramidal_densities(sizes, share))
