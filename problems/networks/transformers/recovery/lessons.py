"""Batches of texts or pixels, as the round trainer is given them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.recovery.loop import Loss

__all__ = ["TextLessons"]


@dataclass(frozen=True, slots=True, eq=False)
class TextLessons:
    """AdamW on a task's own loss; dropout is off: a pruned model underfits.

    Attributes:
        batches: What is trained on, on its device.
        summed: The summed loss of a batch, and over how many tokens or examples.
        plan: How long and how fast.
        scored: The loss on select.
    """

    batches: Sequence[Batch]
    summed: Loss
    plan: Plan
    scored: Callable[[Any], float]

    @property
    def of_training(self) -> bool:
        """Dropout is off."""
        return False

    @property
    def each(self) -> int:
        """How many steps an epoch takes."""
        return len(self.batches)

    def epoch(self, order: torch.Generator) -> Sequence[Batch]:
        """Return the batches in another order."""
        return [self.batches[number] for number in torch.randperm(len(self.batches), generator=order).tolist()]

    def loss(self, model: Any, batch: Batch, order: torch.Generator) -> tuple[torch.Tensor, int]:  # noqa: ARG002  # the contract's
        """Return the mean loss, and how many examples the batch has."""
        total, count = self.summed(model, batch)
        return total / count, len(batch.labels)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(parameters, lr=self.plan.peak_rate, weight_decay=self.plan.weight_decay)

    def score(self, model: Any) -> tuple[float, ...]:
        """Return the loss on select."""
        return (self.scored(model),)
