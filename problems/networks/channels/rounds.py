"""Channels that go in rounds, while the network is trained at full size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.pruned_module import pruned_module, with_tensors
from emoprune.problems.networks.coupling.reading import readers, unread
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
        images: A few, to see whether channels that nobody reads are as good as gone.

    Raises:
        ConfigError: They are not: something else, such as a normalisation over channels, still sees them.
    """

    def __init__(
        self,
        network: nn.Module,
        structure: Structure,
        kept: Callable[[IntArray], Kept],
        widths: IntArray,
        images: torch.Tensor,
    ) -> None:
        self.model = trainable(network)
        self._structure, self._kept, self._widths = structure, kept, widths
        self.kept: Kept = kept(widths)  # the units that stay at last, by coupling group
        _check_unseen(network, structure, self.kept, images)

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


def _check_unseen(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> None:
    gone = unread(network, structure, kept)
    masked = {name: network.get_parameter(name).detach().masked_fill(mask, 0.0) for name, mask in gone.items()}
    with torch.no_grad():
        one, other = with_tensors(network, masked)(images), pruned_module(network, structure, kept)(images)
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max())):
        raise ConfigError(
            "method: channels cannot go while this network is trained: something, such as a normalisation over them, "
            "sees those that go as well as those that stay; take finetune or distil, or the problem weight-ratios"
        )
