"""Output projections fitted to what the whole ones put out, each layer by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.criteria.statistics import places_of
from emoprune.problems.networks.transformers.repair.contract import RepairInputs
from emoprune.problems.networks.transformers.repair.direct import RIDGE, Repairer, grams_of
from emoprune.problems.networks.transformers.repair.nested import NestedRepairer

__all__ = ["LeastSquares"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    papers=[
        Paper("Accurate Retraining-free Pruning for Pretrained Encoder-based Language Models (K-prune)", "2308.03449")
    ],
    cost="one pass over the calibration batches, and a solve for each output projection and plan",
)
@dataclass(frozen=True)
class LeastSquares:
    """Let every output projection put out, from the heads and neurons that stay, what the whole one puts out of all.

    A ridge draws the weights to what they were. Each projection is fitted by itself, to the unpruned model's inputs and
    outputs, so that a layer depends on its own plan alone. Source: the weight tuning of K-prune, arXiv 2308.03449.

    Args:
        ridge: What draws them, as a share of the mean square of a projection's inputs.
    """

    ridge: float = RIDGE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ridge) and self.ridge > 0):
            raise ConfigError(f"ridge: expected a positive number, found {self.ridge}; without it there may be no fit")

    def __call__(self, inputs: RepairInputs) -> Adjust:
        """Return what fits layers; where units go in one order, a factor of each Gram matrix serves all counts."""
        evidence = inputs.evidence
        weights = {
            place.path: evidence.model.get_submodule(place.path).weight.detach()
            for place in places_of(evidence.structure)
        }
        grams = grams_of(evidence)
        if inputs.orders is None:
            return Repairer(evidence.structure, grams, weights, self.ridge)
        return NestedRepairer(evidence.structure, grams, weights, inputs.orders, self.ridge)
