"""The same share of every coupling group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.target import AtTargets, Curve, along
from emoprune.space import IntArray

__all__ = ["Uniform", "uniform_curve"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="counting the costs of genomes; nothing is run",
)
@dataclass(frozen=True, slots=True)
class Uniform(AtTargets):
    """Genomes that keep the same share of each coupling group, as near as its widths allow."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        return along(uniform_curve(inputs), "uniform", inputs, self.percentages)


def uniform_curve(inputs: ReferenceInputs) -> Curve:
    """Return the curve whose position is the share of units that stays."""

    def curve(positions: FloatArray) -> IntArray:
        return inputs.genomes_of_shares(np.repeat(positions[:, np.newaxis], len(inputs.levels.full), axis=1))

    return curve
