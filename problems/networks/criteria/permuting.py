"""The same network with the units of its coupling groups in another order: its outputs stay what they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.realising import tensors_of, with_tensors
from emoprune.problems.networks.coupling.structure import Part, Structure, Wiring
from emoprune.space import IntArray

__all__ = ["permuted"]


def permuted(network: nn.Module, structure: Structure, orders: Sequence[IntArray]) -> nn.Module:
    """Return a clone of `network` in which unit i of each coupling group is what unit `order[i]` was.

    `orders` holds one permutation per coupling group, shape (units,). Clones share what has no channels.
    """
    moved = {}
    for part in structure.parts:
        for name, tensor in tensors_of(network, part).items():
            moved[name] = _permuted(tensor.detach(), part, orders)
    return with_tensors(network, moved)


def _permuted(tensor: torch.Tensor, part: Part, orders: Sequence[IntArray]) -> torch.Tensor:
    outgoing, incoming = (_sources(wiring, orders) for wiring in (part.outgoing, part.incoming))
    if not (part.weighted and tensor.ndim > 1):
        return tensor if outgoing is None else tensor.index_select(part.dimension, outgoing)
    out_axis = 1 if part.kind.startswith("ConvTranspose") else 0
    moved = tensor if outgoing is None else tensor.index_select(out_axis, outgoing)
    if incoming is None or part.depthwise:
        return moved
    # A unit has one place in every convolution group, the same in all: the first group's order is that of all.
    return moved.index_select(1 - out_axis, incoming[: len(incoming) // part.conv_groups])


def _sources(wiring: Wiring | None, orders: Sequence[IntArray]) -> torch.Tensor | None:
    """Return from which place the channel at each place comes: a unit's channels stay in their order."""
    if wiring is None:
        return None
    sources = np.arange(len(wiring))
    for group, order in enumerate(orders):
        own = np.flatnonzero(wiring.groups == group)
        if len(own):
            by_unit = own[np.argsort(wiring.units[own], kind="stable")].reshape(len(order), -1)
            sources[by_unit] = by_unit[order]
    return torch.from_numpy(sources)
