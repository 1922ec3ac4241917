"""The masked network: full size, but what is removed from it is read by nobody; the reference for slicing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.coupling.realising import clone, family_of, with_tensors
from emoprune.problems.networks.coupling.structure import Kept, Part, Structure

__all__ = ["masked"]


def masked(network: nn.Module, structure: Structure, kept: Kept) -> nn.Module:
    """Return the network at full size in which removed channels have no influence on the outputs.

    The weights that would read a removed channel are zero, and normalisations over channels see only those that stay.
    """
    zeroed = {}
    for part in structure.weighted:
        weight = network.get_parameter(f"{part.path}.weight")
        zeroed[f"{part.path}.weight"] = _unread(weight.detach(), part, kept)
    made = with_tensors(network, zeroed)
    for part in structure.parts:
        if family_of(part) in {"LayerNorm", "GroupNorm"} and part.outgoing is not None:
            _replace(made, part.path, _NormOverKept(made.get_submodule(part.path), part, kept))
    return made


def _unread(weight: torch.Tensor, part: Part, kept: Kept) -> torch.Tensor:
    if part.incoming is None:
        return weight
    reads = torch.zeros(len(part.incoming), dtype=weight.dtype, device=weight.device)
    reads[torch.from_numpy(part.incoming.staying(kept))] = 1
    others = [1] * (weight.ndim - 2)
    if family_of(part) == "ConvTranspose":
        return weight * reads.view(-1, 1, *others)
    if part.conv_groups == 1:
        return weight * reads.view(1, -1, *others)
    # Filter o of a grouped convolution reads the channels of its own convolution group.
    per_group = reads.view(part.conv_groups, -1).repeat_interleave(weight.shape[0] // part.conv_groups, dim=0)
    return weight * per_group.view(weight.shape[0], -1, *others)


class _NormOverKept(nn.Module):
    """A normalisation over channels that sees only those that stay, and puts out zero for the others."""

    def __init__(self, norm: nn.Module, part: Part, kept: Kept) -> None:
        super().__init__()
        self._norm = clone(norm)
        assert part.outgoing is not None  # noqa: S101  # the caller's condition; narrows the type
        self._indices = torch.from_numpy(part.outgoing.staying(kept))
        self._axis = 1 if family_of(part) == "GroupNorm" else -1

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise the channels that stay with the weights that are theirs."""
        norm: Any = self._norm
        indices = self._indices
        some = values.index_select(self._axis, indices)
        weight = None if norm.weight is None else norm.weight[indices]
        bias = None if norm.bias is None else norm.bias[indices]
        if isinstance(norm, nn.GroupNorm):
            normalised = nn.functional.group_norm(some, norm.num_groups, weight, bias, norm.eps)
        else:
            normalised = nn.functional.layer_norm(some, (len(indices),), weight, bias, norm.eps)
        return torch.zeros_like(values).index_copy(self._axis, indices, normalised)


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    network.get_submodule(parent)._modules[name] = module  # noqa: SLF001  # as `clone` left it: of this copy alone
