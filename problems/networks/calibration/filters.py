"""Weights as filters in one layout, whatever the layer; which of their inputs stay; and back to the layer's layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.structure import Kept, Part, Wiring
from emoprune.space import IntArray

__all__ = ["Inputs", "as_filters", "as_weight", "inputs_of", "staying_filters"]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Which of the input channels that one convolution group reads stay and which go; rising, both (channels,)."""

    staying: IntArray
    going: IntArray


def inputs_of(part: Part, kept: Kept) -> Inputs:
    """Return which input channels of a convolution group stay: by coupling the same ones in every group.

    Raises:
        ContractError: The part takes no channels in.
    """
    staying = _wiring(part).staying(kept)
    per_group = len(_wiring(part)) // part.conv_groups
    own = staying[staying < per_group]
    return Inputs(own, np.setdiff1d(np.arange(per_group), own))


def _wiring(part: Part) -> Wiring:
    if part.incoming is None:
        raise ContractError(f"part {part.path!r}: expected a layer that takes channels in, found a {part.kind}")
    return part.incoming


def as_filters(part: Part, weight: torch.Tensor) -> torch.Tensor:
    """Return a weight as (convolution groups, filters per group, input channels per group, taps) in 64 bits.

    `taps` are the places of the kernel; a linear layer has one.
    """
    outgoing_first = weight.transpose(0, 1) if part.kind.startswith("ConvTranspose") else weight
    filters = outgoing_first.detach().cpu().double().flatten(2) if weight.ndim > 2 else weight.detach().cpu().double()
    taps = filters.shape[2] if filters.ndim > 2 else 1
    return filters.reshape(part.conv_groups, -1, filters.shape[1], taps)


def staying_filters(part: Part, filters: torch.Tensor, kept: Kept) -> torch.Tensor:
    """Return only the filters whose outgoing channels stay; they are equally many in every convolution group."""
    if part.outgoing is None:
        return filters
    staying = torch.from_numpy(part.outgoing.staying(kept))
    return filters.flatten(0, 1)[staying].reshape(part.conv_groups, -1, *filters.shape[2:])


def as_weight(part: Part, filters: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return filters in the layout, precision and place of the part's own weight `like`."""
    weight = filters.flatten(0, 1).reshape(-1, filters.shape[2], *like.shape[2:])
    if part.kind.startswith("ConvTranspose"):
        weight = weight.transpose(0, 1)
    return weight.to(dtype=like.dtype, device=like.device).contiguous()
