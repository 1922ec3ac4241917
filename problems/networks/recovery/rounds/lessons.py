"""What a model is trained on and by which rule, whatever it is: all that the round trainer knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from emoprune.problems.networks.recovery.plan import Plan

__all__ = ["Lessons", "Masks"]

Masks = Mapping[str, torch.Tensor]  # by a parameter's name, true where it is zero and stays so


class Lessons(Protocol):
    """Images with labels, or batches of texts."""

    @property
    def plan(self) -> Plan:
        """How long and how fast; a stage takes its share of the epochs."""
        ...

    @property
    def of_training(self) -> bool:
        """Whether dropout and batch norms are those of training."""
        ...

    @property
    def each(self) -> int:
        """How many steps an epoch takes."""
        ...

    def epoch(self, order: torch.Generator) -> Sequence[Any]:
        """Return what one epoch's steps are given, in an order that is drawn."""
        ...

    def loss(self, model: Any, batch: Any, order: torch.Generator) -> tuple[torch.Tensor, int]:
        """Return the mean loss of a batch in nats, with gradients, and how many examples it has."""
        ...

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return a new optimiser of these parameters."""
        ...

    def score(self, model: Any) -> tuple[float, ...]:
        """Return how good a model in eval mode is on `select`, less is better; infinite where it is not finite.

        What is estimated and not trained, the statistics of batch norms, may be estimated anew in it.
        """
        ...
