"""Winning back what zeroed weights cost: the zeros stay, or are chosen anew round by round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.recovery.loop import Masks, Spent
from emoprune.problems.networks.transformers.recovery.recover import REWINDING, Budget, Recovering
from emoprune.problems.networks.transformers.recovery.rewinding import rewound
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.weights.layers import LayerGenes

__all__ = ["SparseMethod", "recovered_sparse"]

SparseMethod = Literal["finetune", "distil", "rewind-rate", "rewind-weights"]


def recovered_sparse(
    opened: Opened,
    narrower: Narrower,
    genes: LayerGenes,
    plans: Sequence[BlockPlan],
    *,
    budget: Budget,
    seed: int,
) -> tuple[Any, Spent]:
    """Return a model with as many zeros in each layer as the plans say, trained, and what that took.

    When rewinding, the smallest weights of the model as it is trained by then go, a part of all in each round;
    otherwise those that the plans zero.
    """
    device = next(opened.task.model.parameters()).device.type
    task, own = Recovering(opened, budget, device, seed), list(plans)
    if budget.method in REWINDING:
        model = trainable(opened.task.model)

        def masks_of(found: Any, share: float) -> Masks:
            return genes.smallest(found, own, share)

        part = 1 / (budget.rounds + 1)
        weights = budget.method == "rewind-weights"
        rewound(model, budget.rounds, masks_of, lambda found, masks: task.train(found, masks, part), weights=weights)
    else:
        model = trainable(narrower.narrowed(own))
        task.train(model, genes.zeros(model, own))
    return model.requires_grad_(requires_grad=False), task.spent
