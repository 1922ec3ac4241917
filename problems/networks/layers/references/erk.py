"""Layer densities of Erdos-Renyi kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.channels.references.ratios import erk_densities
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares

__all__ = ["Erk"]


@about(
    "pruning",
    ["layers"],
    serves=("weight-ratios", "transformer-weight-ratios"),
    cost="counting weights; nothing is run",
    papers=[Paper("Rigging the Lottery: Making All Tickets Winners", "1911.11134")],
)
@dataclass(frozen=True, slots=True)
class Erk(AtShares):
    """Genomes of ERK densities: a layer keeps in proportion to its dimensions' sum over its number of weights.

    Layers that are dense already give what they cannot take to the others. Source: Evci et al., Rigging the Lottery:
    Making All Tickets Winners, arXiv 1911.11134.
    """

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target."""
        sizes = inputs.levels.sizes.astype(np.float64)
        dimensions = [sum(shape) for _, shape in inputs.levels.layers]
        return self.along("erk", inputs, lambda share: sizes * erk_densities(sizes, dimensions, share))
