"""Pruning and training in rounds: after each, the learning rate starts anew, or the weights do as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase
from emoprune.problems.networks.transformers.recovery.loop import Masks, Spent

__all__ = ["RewindRate", "RewindWeights", "rewound"]

_described = about(
    "recovery",
    ["heads", "neurons", "weights"],
    serves=["heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("Masks, Signs, And Learning Rate Rewinding", "2402.19262")],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, and one more ranking for each round",
)


@dataclass(frozen=True, slots=True)
class _Rewinding:
    rounds: int = 3

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds: expected 1 or more, found {self.rounds}")

    def recovered(self, case: RecoveryCase, name: str, *, weights: bool) -> RecoveredModel:
        """Return the model after the last round; the plan's epochs are shared out among the rounds."""
        pruned, spent = case.rounds(), list[Spent]()

        def train(model: Any, masks: Masks) -> None:
            spent.append(case.train(model, name, masks=masks, share=1 / (self.rounds + 1)))

        rewound(pruned.model, self.rounds, lambda _, share: pruned.masks(share), train, weights=weights)
        model, plans = pruned.recovered()
        return RecoveredModel(model, plans, sum(spent, Spent(0, 0, 0.0)))


@_described
@dataclass(frozen=True, slots=True)
class RewindRate(_Rewinding):
    """Prunes and trains in rounds, the learning rate set back after each; what stays is decided anew.

    Source: Gadhikar and Burkholz, Masks, Signs, And Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        rounds: How often something is pruned.
    """

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the model after the last round."""
        return self.recovered(case, "rewind-rate", weights=False)


@_described
@dataclass(frozen=True, slots=True)
class RewindWeights(_Rewinding):
    """Prunes and trains in rounds, the weights set back after each; what stays is decided anew.

    Source: iterative magnitude pruning in Gadhikar and Burkholz, Masks, Signs, And Learning Rate Rewinding, arXiv
    2402.19262.

    Args:
        rounds: How often something is pruned.
    """

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the model after the last round."""
        return self.recovered(case, "rewind-weights", weights=True)


def rewound(
    model: Any,
    rounds: int,
    masks_of: Callable[[Any, float], Masks],
    train: Callable[[Any, Masks], None],
    *,
    weights: bool,
) -> Masks:
    """Train `model` in place, prune a part of what is to go, train again, and so on; return what is zero in the end.

    Between rounds the schedule of the learning rate starts anew and the weights stay (learning-rate rewinding), or they
    are set back to what they were before (iterative magnitude pruning). Source: Gadhikar and Burkholz, Masks, Signs,
    And Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        model: Its parameters that take gradients are trained.
        rounds: How often something is pruned.
        masks_of: Says for a model, and the share of all pruning that is due, what is zero from then on.
        train: Trains a model in place with these masks, one whole schedule.
        weights: Whether the weights are set back.
    """
    before = {name: own.detach().clone() for name, own in model.named_parameters() if own.requires_grad}
    masks: Masks = {}
    train(model, masks)
    for done in range(1, rounds + 1):
        masks = masks_of(model, done / rounds)
        with torch.no_grad():
            for name, own in model.named_parameters():
                if weights and name in before:
                    own.copy_(before[name])
                if name in masks:
                    own.masked_fill_(masks[name], 0.0)
        train(model, masks)
    return masks
