"""Layer densities with which every layer keeps as many weights."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.problems.networks.channels.references.inputs import Found, ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers, proportional_curve
from emoprune.problems.networks.channels.references.ratios import balanced_preferences
from emoprune.problems.networks.channels.references.target import AtTargets, along

__all__ = ["Balanced"]


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
