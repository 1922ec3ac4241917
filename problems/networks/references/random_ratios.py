"""Ratios drawn blindly: what any method has to beat."""

from __future__ import annotations

from dataclasses import replace

from emoprune.contracts import FloatArray
from emoprune.problems.networks.references.inputs import Found, ReferenceInputs
from emoprune.problems.networks.references.ratios import proportional
from emoprune.problems.networks.references.target import Curve, along
from emoprune.space import IntArray

__all__ = ["random_ratios"]


def random_ratios(inputs: ReferenceInputs) -> Found:
    """Return genomes whose shares are proportional to numbers drawn uniformly per coupling group and target."""
    found = [along(_drawn(inputs), "random", replace(inputs, percentages=(each,))) for each in inputs.percentages]
    references = tuple(reference for one in found for reference in one.references)
    return Found(references, notes=tuple(note for one in found for note in one.notes))


def _drawn(inputs: ReferenceInputs) -> Curve:
    preferences = 1 - inputs.rng.random(len(inputs.levels.full))  # above 0, so that every group can become whole

    def curve(positions: FloatArray) -> IntArray:
        return inputs.genomes_of_shares(proportional(preferences, positions / preferences.min()))

    return curve
