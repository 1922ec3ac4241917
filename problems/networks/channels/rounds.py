"""Channels that go in rounds, while the network is trained at full size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.masking import readers, unread
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.masks.contract import Maskable
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.space import IntArray

__all__ = ["ChannelRounds"]


class ChannelRounds:
    """Takes channels away in the criterion's order until the widths are a candidate's.

    Args:
        network: The unpruned one.
        structure: Its coupling groups.
        kept: Returns the units that stay at widths, shape (groups,).
        widths: The candidate's, shape (groups,).

    Raises:
        ConfigError: A normalisation over channels sees those that go as well as those that stay.
    """

    def __init__(
        self, network: nn.Module, structure: Structure, kept: Callable[[IntArray], Kept], widths: IntArray
    ) -> None:
        over = [part.path for part in structure.parts if part.varies and part.kind in {"LayerNorm", "GroupNorm"}]
        if over:
            raise ConfigError(
                f"method: channels cannot go while this network is trained, because layer {over[0]!r} normalises over "
                "those that go and those that stay; take finetune or distil, or the problem weight-ratios"
            )
        self.model = trainable(network)
        self._structure, self._kept, self._widths = structure, kept, widths
        self.kept: Kept = kept(widths)  # the units that stay at last, by coupling group

    def masks(self, share: float) -> Masks:
        """Return which weights are zero, because they would read a channel that is gone."""
        full = np.array(self._structure.units)
        widths = full - np.round((full - self._widths) * share).astype(np.int64)
        return unread(self.model, self._structure, self._kept(widths))

    def maskables(self) -> list[Maskable]:
        """Return the coupling groups that get narrower, each with how many of its units stay."""
        found = []
        for group, units in enumerate(self._structure.units):
            if self._widths[group] < units:
                members = readers(self.model, self._structure, group)
                found.append(Maskable(self._structure.groups[group].name, members, 1, units, int(self._widths[group])))
        return found

    def decide(self, stays: Sequence[torch.Tensor]) -> Masks:
        """Take which units stay, and return which weights are zero, because they would read another one."""
        narrower = np.flatnonzero(self._widths < np.array(self._structure.units)).tolist()
        chosen = dict(zip(narrower, stays, strict=True))
        self.kept = [
            chosen[group].flatten().nonzero().flatten().cpu().numpy() if group in chosen else own
            for group, own in enumerate(self.kept)
        ]
        return unread(self.model, self._structure, self.kept)

    def remembered(self) -> Mapping[str, torch.Tensor]:
        """Return nothing: the order in which channels go is fixed."""
        return {}

    def remind(self, remembered: Mapping[str, torch.Tensor]) -> None:
        """Take back nothing."""

    def recovered(self) -> nn.Module:
        """Return the network without the channels that are gone."""
        return trainable(pruned_module(self.model, self._structure, self.kept))
