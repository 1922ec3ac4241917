"""Layer densities with which every layer keeps as many weights."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers, proportional_curve
from emoprune.problems.networks.channels.references.ratios import balanced_preferences
from emoprune.problems.networks.channels.references.target import AtTargets, along

__all__ = ["Balanced"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="counting the costs of genomes; nothing is run",
    papers=[Paper("Why Random Pruning Is All We Need to Start Sparse", "2210.02412")],
)
@dataclass(frozen=True, slots=True)
class Balanced(AtTargets):
    """Genomes of balanced densities: every layer keeps as many weights as any other, or all it has.

    A coupling group gets the mean of the layers that put it out, weighted by their numbers of weights. Source: Gadhikar
    et al., Why Random Pruning Is All We Need to Start Sparse, arXiv 2210.02412.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        layers = Layers.of(inputs)
        return along(
            proportional_curve(inputs, layers, balanced_preferences(layers.sizes)), "balanced", inputs, self.percentages
        )
