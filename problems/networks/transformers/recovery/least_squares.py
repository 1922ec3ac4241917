"""A repair without training."""

from __future__ import annotations

from emoprune.contracts import Paper, about
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase
from emoprune.problems.networks.transformers.repair.sequential import repaired_in_turn

__all__ = ["LeastSquares"]


@about(
    "recovery",
    ["layers"],
    serves=["heads-and-neurons"],
    papers=[
        Paper("Accurate Retraining-free Pruning for Pretrained Encoder-based Language Models (K-prune)", "2308.03449")
    ],
    cost="a few passes of the calibration batches through each layer of both models",
)
class LeastSquares:
    """Fits the output projections in turn, from the first layer to the last, to what flows on in the unpruned model.

    Source: the weight tuning of K-prune, arXiv 2308.03449.
    """

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the repaired model."""
        model = case.model().requires_grad_(requires_grad=False)
        return RecoveredModel(repaired_in_turn(case.opened, model, case.plans, case.device), case.plans)
