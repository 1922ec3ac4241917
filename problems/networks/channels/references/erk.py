"""Layer densities of Erdos-Renyi kernels."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers, proportional_curve
from emoprune.problems.networks.channels.references.ratios import erk_preferences
from emoprune.problems.networks.channels.references.target import AtTargets, along

__all__ = ["Erk"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="counting the costs of genomes; nothing is run",
    papers=[Paper("Rigging the Lottery: Making All Tickets Winners", "1911.11134")],
)
@dataclass(frozen=True, slots=True)
class Erk(AtTargets):
    """Genomes of ERK densities: a layer keeps in proportion to its dimensions' sum over its number of weights.

    Layers that are dense already give what they cannot take to the others. A coupling group gets the mean of the layers
    that put it out, weighted by their numbers of weights. Source: Evci et al., Rigging the Lottery: Making All Tickets
    Winners, arXiv 1911.11134.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        layers = Layers.of(inputs)
        return along(
            proportional_curve(inputs, layers, erk_preferences(layers.sizes, layers.dimensions)),
            "erk",
            inputs,
            self.percentages,
        )
