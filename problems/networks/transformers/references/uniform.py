"""The same share of the heads and neurons of every layer."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Found, about
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs

__all__ = ["Uniform"]


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="counting some genomes")
class Uniform:
    """Genomes that keep the same share of every layer's heads and neurons, as near as its levels allow."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        units, layout = np.array(inputs.layout.anatomy.units), inputs.layout
        return Found(
            inputs.at_percentages(
                "uniform",
                lambda position: layout.encode(np.round(units * position).astype(int).tolist(), inputs.orders),
            )
        )
