"""A model's tensors as bytes of a file: each once, in the numbers that were asked for, coded where layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.packing import packed

__all__ = ["PackedLayer", "as_stored", "own_state", "serialised"]


@dataclass(frozen=True, slots=True, eq=False)
class PackedLayer:
    """A layer whose weight is stored in fewer bytes: how it was treated, at which level, and from what."""

    part: Part
    treatment: Treatment
    level: int
    untreated: torch.Tensor


def own_state(model: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the model's tensors, each under its first name, and the names that share another one's."""
    state: dict[str, torch.Tensor] = {}
    tied, seen = [], set()
    for name, tensor in model.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in seen:
            tied.append(name)
            continue
        seen.add(tensor.data_ptr())
        state[name] = tensor.detach().cpu().contiguous()
    return state, tied


def as_stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor of its own in numbers of `dtype`; whole numbers stay what they are."""
    return tensor.to(dtype, copy=True) if tensor.is_floating_point() else tensor.clone()


def serialised(
    model: Any, layers: Mapping[str, PackedLayer], dtype: torch.dtype = torch.float32
) -> tuple[bytes, dict[str, Any]]:
    """Return the file with a model's weights, and how each packed one is unfolded.

    Raises:
        ContractError: A packed layer takes other bytes than were counted.
    """
    state, _ = own_state(model)
    tensors: dict[str, torch.Tensor] = {}
    forms: dict[str, Any] = {}
    for name, tensor in state.items():
        if name not in layers:
            tensors[name] = as_stored(tensor, dtype)
            continue
        own = layers[name]
        made = packed(own.treatment, own.part, own.untreated.cpu(), tensor, own.level)
        tensors |= {f"{name}::{role}": each for role, each in made.tensors(own.treatment.dtype).items()}
        forms[name] = {"form": made.form, **made.facts}
    return save(tensors, {"format": "pt"} if not forms else None), forms
