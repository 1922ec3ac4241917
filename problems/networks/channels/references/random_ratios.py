"""Ratios drawn blindly: what any method has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import FloatArray, Found, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.ratios import proportional
from emoprune.problems.networks.channels.references.target import AtTargets, Curve, along
from emoprune.space import IntArray

__all__ = ["RandomRatios"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="counting the costs of genomes; nothing is run",
)
@dataclass(frozen=True, slots=True)
class RandomRatios(AtTargets):
    """Genomes whose shares are proportional to numbers drawn uniformly per coupling group and target."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        found = [along(_drawn(inputs), "random", inputs, (each,)) for each in self.percentages]
        references = tuple(reference for one in found for reference in one.references)
        return Found(references, notes=tuple(note for one in found for note in one.notes))


def _drawn(inputs: ReferenceInputs) -> Curve:
    preferences = 1 - inputs.rng.random(len(inputs.levels.full))  # above 0, so that every group can become whole

    def curve(positions: FloatArray) -> IntArray:
        return inputs.genomes_of_shares(proportional(preferences, positions / preferences.min()))

    return curve
