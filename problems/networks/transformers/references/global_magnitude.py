"""One threshold on magnitudes over all layers."""

from __future__ import annotations

from emoprune.contracts import Found, about
from emoprune.problems.networks.criteria.ranking import normalised
from emoprune.problems.networks.transformers.criteria.weights import Magnitude
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.references.threshold import above_one_threshold

__all__ = ["GlobalMagnitude"]


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="one pass over the weights")
class GlobalMagnitude:
    """Genomes that keep the units with the largest weights per parameter, of L2 norm 1 in each layer."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        magnitudes = Magnitude()(inputs.evidence)
        return above_one_threshold(inputs, "global-magnitude", [normalised(own) for own in magnitudes])
