"""Pruning and training in rounds: after each, the learning rate starts anew, or the weights do as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from emoprune.problems.networks.transformers.recovery.loop import Masks

__all__ = ["rewound"]


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
