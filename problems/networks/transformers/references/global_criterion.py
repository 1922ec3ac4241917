"""One threshold on the criterion over all layers."""

from __future__ import annotations

from emoprune.contracts import Found, about
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.references.threshold import above_one_threshold

__all__ = ["GlobalCriterion"]


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="counting some genomes")
class GlobalCriterion:
    """Genomes that keep the units of all layers with the highest scores per parameter, by the problem's criterion."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        return above_one_threshold(inputs, "global-criterion", inputs.scores)
