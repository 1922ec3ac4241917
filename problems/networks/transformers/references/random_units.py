"""One threshold on random numbers over all layers."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Found, about
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.references.threshold import above_one_threshold

__all__ = ["RandomUnits"]


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="counting some genomes")
class RandomUnits:
    """Genomes that keep units of all layers at random, how many of each layer being left to chance."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        # From the run's seed alone, as in runs of earlier versions: their genomes must come again.
        rng = np.random.default_rng(inputs.evidence.seed)
        drawn = [rng.random(len(cost)) * cost for cost in inputs.evidence.costs]
        return above_one_threshold(inputs, "random", drawn)
