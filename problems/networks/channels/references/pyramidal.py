"""Layer densities that fall with depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, Paper, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers
from emoprune.problems.networks.channels.references.target import AtTargets, along
from emoprune.space import IntArray

__all__ = ["Pyramidal"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="counting the costs of genomes; nothing is run",
    papers=[Paper("Why Random Pruning Is All We Need to Start Sparse", "2210.02412")],
)
@dataclass(frozen=True, slots=True)
class Pyramidal(AtTargets):
    """Genomes of pyramidal densities: the l-th layer keeps r^l, for an r between 0 and 1.

    A coupling group gets the mean of the layers that put it out, weighted by their numbers of weights. Source: Gadhikar
    et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        layers = Layers.of(inputs)
        depth = np.arange(1, len(layers.paths) + 1)

        def curve(positions: FloatArray) -> IntArray:
            return inputs.genomes_of_shares(layers.shares_of_groups(positions[:, np.newaxis] ** depth))

        return along(curve, "pyramidal", inputs, self.percentages)
