"""Single weights of a network that are zeroed in rounds, while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from emoprune.problems.networks.layers.maskables import maskable_layers, plain_treatment
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.masks.contract import Maskable, zeros_of
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.space import IntArray

__all__ = ["WeightRounds", "smallest"]


class WeightRounds:
    """Zeroes as many weights of each layer as a candidate; the smallest of the network as it is trained by then.

    Args:
        network: The unpruned one.
        levels: What the treatment's levels mean.
        wanted: The candidate's, shape (layers,).
    """

    def __init__(self, network: nn.Module, levels: LayerLevels, wanted: IntArray) -> None:
        self.model = trainable(network)
        self._levels = levels
        self._wanted = wanted

    def masks(self, share: float) -> Masks:
        """Return where weights are zero."""
        return smallest(self.model, self._levels, self._wanted, share)

    def remembered(self) -> Mapping[str, torch.Tensor]:
        """Return nothing: zeros show what is gone."""
        return {}

    def remind(self, remembered: Mapping[str, torch.Tensor]) -> None:
        """Take back nothing."""

    def maskables(self) -> list[Maskable]:
        """Return the layers that are pruned, each with how many of its weights stay."""
        return maskable_layers(self._levels, self._wanted)

    def decide(self, stays: Sequence[torch.Tensor]) -> Masks:
        """Return where weights are zero when only these stay."""
        return zeros_of(self.maskables(), stays)

    def recovered(self) -> nn.Module:
        """Return the network, whose zeros stay where they are."""
        return self.model


def smallest(network: nn.Module, levels: LayerLevels, wanted: IntArray, share: float) -> dict[str, torch.Tensor]:
    """Return where the smallest weights of a network go: as many as the levels zero, or a share of the way there.

    Zeros are the smallest, so that what is gone stays gone.
    """
    found, treatment = {}, plain_treatment(levels)
    for part, level in zip(levels.parts, wanted.tolist(), strict=True):
        due = levels.highest - round((levels.highest - level) * share)
        if due < levels.highest:
            weight = network.get_parameter(f"{part.path}.weight").detach()
            ranks = treatment.ranked(part, weight.abs().cpu())
            found[f"{part.path}.weight"] = treatment.treated(part, weight, ranks, due) == 0
    return found
