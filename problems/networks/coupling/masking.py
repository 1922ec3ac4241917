"""The masked network: full size, but what is removed from it is read by nobody; the reference for slicing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.coupling.following.comparing import Sums
from emoprune.problems.networks.coupling.graph import Tensors, tensors_of_network
from emoprune.problems.networks.coupling.kinds import NUMBER
from emoprune.problems.networks.coupling.pruned_module import clone
from emoprune.problems.networks.coupling.structure import Kept, Structure

__all__ = ["Masked", "masked"]


def masked(network: nn.Module, structure: Structure, kept: Kept) -> Masked:
    """Return the network at full size in which removed channels have no influence on the outputs.

    What sums over channels, a convolution or a matrix product, sums over those that stay, and what is computed over
    channels, a norm's mean or a softmax, sees only those.
    """
    return Masked(network, structure, kept)


class Masked(nn.Module):
    """Runs a network operation by operation, those over channels on the ones that stay."""

    def __init__(self, network: nn.Module, structure: Structure, kept: Kept) -> None:
        super().__init__()
        self._network = clone(network)  # its hooks are those of this one alone
        self._stays = _stays(tensors_of_network(self._network), structure, kept)

    def forward(self, images: torch.Tensor) -> Any:
        """Return what the network gives for a batch of images."""
        return tensors_of_network(self._network).follower(stays=self._stays).follow(self._network, images)

    def sums(self, images: torch.Tensor) -> list[Sums]:
        """Return what every operation gives to the channels that stay, as sums."""
        follower = tensors_of_network(self._network).follower(stays=self._stays)
        follower.listens = True
        follower.follow(self._network, images)
        return follower.sums


SPARE = 1 << 20  # channels that are numbered on the way, of images and of constants


def _stays(known: Tensors, structure: Structure, kept: Kept) -> NDArray[np.bool_]:
    """Return which channels stay, by their number; those of no part all do."""
    stays = np.ones(known.links.total + SPARE, dtype=np.bool_)
    for part in structure.parts:
        for side, wiring in (("in", part.incoming), ("out", part.outgoing)):
            labels = known.links.labels((part.path, side))
            if part.path in known.bare:
                labels = known.bare[part.path][part.dimension]
            if wiring is None or labels is None or part.kind == NUMBER:
                continue
            stays[labels] = False
            stays[labels[wiring.staying(kept)]] = True
    for path, labels in known.within.items():
        taken = known.links.sides[path, "in"]
        stays[labels] = stays[taken[: len(labels)]]
    return stays
