"""The masked network: full size, but what is removed from it is read by nobody; the reference for slicing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import clone, family_of, with_tensors
from emoprune.problems.networks.coupling.structure import Kept, Part, Structure
from emoprune.space import IntArray

__all__ = ["masked", "readers", "unread"]


def masked(network: nn.Module, structure: Structure, kept: Kept) -> nn.Module:
    """Return the network at full size in which removed channels have no influence on the outputs.

    The weights that would read a removed channel are zero, and normalisations over channels see only those that stay.
    """
    zeroed = {}
    varying = [part for part in structure.parts if part.varies]
    for part in (each for each in varying if each.weighted):
        weight = network.get_parameter(f"{part.path}.weight")
        zeroed[f"{part.path}.weight"] = _unread(weight.detach(), part, kept)
    made = with_tensors(network, zeroed)
    for part in varying:
        if part.kind in {"LayerNorm", "GroupNorm"} and part.outgoing is not None:
            _replace(made, part.path, _NormOverKept(made.get_submodule(part.path), part.outgoing.staying(kept)))
    return made


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


class _NormOverKept(nn.Module):
    """A normalisation over channels that sees only those that stay, and puts out zero for the others."""

    def __init__(self, norm: nn.Module, staying: IntArray) -> None:
        super().__init__()
        self._indices = torch.from_numpy(staying)
        self._norm: Any = clone(norm)
        for name, tensor in norm.named_parameters(recurse=False):
            chosen = nn.Parameter(tensor.detach()[self._indices], requires_grad=False)
            self._norm._parameters[name] = chosen  # noqa: SLF001  # as `clone` left it: of this copy alone
        if isinstance(norm, nn.LayerNorm):
            vars(self._norm)["normalized_shape"] = (len(staying),)
            self._width = norm.normalized_shape[0]
        else:
            vars(self._norm)["num_channels"] = len(staying)
        self._last = type(norm) is nn.LayerNorm

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise the channels that stay with the weights that are theirs."""
        axis = -1 if self._last else self._axis(values)
        normalised = self._norm(values.index_select(axis, self._indices))
        return torch.zeros_like(values).index_copy(axis, self._indices, normalised)

    def _axis(self, values: torch.Tensor) -> int:
        """Return the axis of the channels: a class derived from LayerNorm may have them where convolutions do."""
        images = isinstance(self._norm, nn.GroupNorm) or (values.ndim == 4 and values.shape[1] == self._width)
        return 1 if images else -1


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    network.get_submodule(parent)._modules[name] = module  # noqa: SLF001  # as `clone` left it: of this copy alone
