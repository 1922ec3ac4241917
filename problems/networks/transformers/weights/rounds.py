"""Single weights that are zeroed in rounds, while the model is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from emoprune.problems.networks.layers.maskables import maskable_layers
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.masks.contract import Maskable, zeros_of
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.weights.layers import LayerGenes

__all__ = ["WeightRounds"]


class WeightRounds:
    """Zeroes as many weights of each layer as a candidate; the smallest of the model as it is trained by then.

    Args:
        opened: The unpruned model.
        genes: What the plans' levels mean.
        plans: The candidate's.
    """

    def __init__(self, opened: Opened, genes: LayerGenes, plans: list[BlockPlan]) -> None:
        self.model: Any = trainable(opened.task.model)
        self._genes = genes
        self._plans = plans

    def masks(self, share: float) -> Masks:
        """Return where weights are zero."""
        return self._genes.smallest(self.model, self._plans, share)

    def remembered(self) -> Mapping[str, torch.Tensor]:
        """Return nothing: zeros show what is gone."""
        return {}

    def remind(self, remembered: Mapping[str, torch.Tensor]) -> None:
        """Take back nothing."""

    def maskables(self) -> list[Maskable]:
        """Return the layers that are pruned, each with how many of its weights stay."""
        return maskable_layers(self._genes.levels, self._genes.decoded(self._plans))

    def decide(self, stays: Sequence[torch.Tensor]) -> Masks:
        """Return where weights are zero when only these stay."""
        return zeros_of(self.maskables(), stays)

    def recovered(self) -> tuple[Any, list[BlockPlan]]:
        """Return the model, whose zeros stay where they are, and the plans."""
        return self.model, self._plans
