"""Training on the task's own loss."""

from __future__ import annotations

from emoprune.contracts import about
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase

__all__ = ["Finetune"]


@about(
    "recovery",
    ["weights"],
    serves=["heads-and-neurons", "transformer-weight-ratios"],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part",
)
class Finetune:
    """Trains all weights that stay towards the labels or the next tokens."""

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the trained model."""
        model = case.model()
        spent = case.train(model, "finetune", masks=case.zeros(model))
        return RecoveredModel(model, case.plans, spent)
