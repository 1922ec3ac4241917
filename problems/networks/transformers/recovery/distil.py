"""Training towards the unpruned model's outputs as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase

__all__ = ["Distil"]


@about(
    "recovery",
    ["weights"],
    serves=["heads-and-neurons", "transformer-weight-ratios"],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, through two models",
)
@dataclass(frozen=True, slots=True)
class Distil:
    """Trains towards the labels or the next tokens, and towards the unpruned model's softened probabilities.

    Args:
        temperature: How soft the unpruned model's probabilities are made.
        weight: Their share of the loss, from 0 to 1.
    """

    temperature: float = 2.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 <= self.weight <= 1:
            raise ConfigError("temperature: expected a number above 0; weight: the teacher's share, from 0 to 1")

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the trained model."""
        model, task = case.model(), case.opened.task

        def loss(own: Any, batch: Batch) -> tuple[torch.Tensor, int]:
            taught = task.divergence(own, task.model, batch, self.temperature)
            return self.weight * taught + (1 - self.weight) * task.loss(own, batch), task.numbers(batch)

        spent = case.train(model, "distil", loss=loss, masks=case.zeros(model))
        return RecoveredModel(model, case.plans, spent)
