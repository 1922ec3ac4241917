"""Which weights read which channels: what becomes zero when channels go and the network keeps its shape."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import family_of
from emoprune.problems.networks.coupling.structure import Kept, Part, Structure

__all__ = ["readers", "unread"]


def unread(network: nn.Module, structure: Structure, kept: Kept) -> dict[str, torch.Tensor]:
    """Return which weights would read a removed channel, by their names, true where one does."""
    found = {}
    for part in structure.parts:
        if part.varies and part.weighted and part.incoming is not None:
            weight = network.get_parameter(f"{part.path}.weight")
            found[f"{part.path}.weight"] = _unread(torch.ones_like(weight.detach()), part, kept) == 0
    return {name: mask for name, mask in found.items() if bool(mask.any())}


def readers(network: nn.Module, structure: Structure, group: int) -> dict[str, torch.Tensor]:
    """Return which unit of a coupling group each weight that reads one reads, by the weights' names.

    -1 where it reads none of them; shapes can be broadcast to the weights'.
    """
    found = {}
    for part in structure.parts:
        if not (part.varies and part.weighted) or part.incoming is None or not (part.incoming.groups == group).any():
            continue
        name = f"{part.path}.weight"
        units = torch.from_numpy(np.where(part.incoming.groups == group, part.incoming.units, -1))
        found[name] = _along_inputs(units, network.get_parameter(name), part)
    return found


def _unread(weight: torch.Tensor, part: Part, kept: Kept) -> torch.Tensor:
    if part.incoming is None:
        return weight
    reads = torch.zeros(len(part.incoming), dtype=weight.dtype, device=weight.device)
    reads[torch.from_numpy(part.incoming.staying(kept))] = 1
    return weight * _along_inputs(reads, weight, part)


def _along_inputs(values: torch.Tensor, weight: torch.Tensor, part: Part) -> torch.Tensor:
    """Return a value per incoming channel in a shape that can be broadcast to the weight that reads them."""
    others = [1] * (weight.ndim - 2)
    if family_of(part) == "ConvTranspose":
        return values.view(-1, 1, *others)
    if part.conv_groups == 1:
        return values.view(1, -1, *others)
    # Filter o of a grouped convolution reads the channels of its own convolution group.
    per_group = values.view(part.conv_groups, -1).repeat_interleave(weight.shape[0] // part.conv_groups, dim=0)
    return per_group.view(weight.shape[0], -1, *others)
