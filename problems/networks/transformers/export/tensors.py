"""A model's tensors as bytes of a file: each once, in the numbers that were asked for, coded where layers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.packing import packed

__all__ = ["PackedLayer", "Shards", "as_stored", "own_state", "serialised", "sharded"]


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


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """A model's weights in one file or several: which tensors are in which, and an index where there are several."""

    tensors: Mapping[str, torch.Tensor]
    names: Mapping[str, Sequence[str]]
    index: Mapping[str, Any] | None
    dtype: torch.dtype

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file's name and content, one at a time: all of them may not fit into memory twice."""
        for file, names in self.names.items():
            yield file, save({name: as_stored(self.tensors[name], self.dtype) for name in names}, {"format": "pt"})


def sharded(model: Any, dtype: torch.dtype, largest: str) -> Shards:
    """Return the files with a model's weights, named and indexed as transformers reads them.

    Args:
        model: Its tensors that share memory are written once.
        dtype: Of what is written.
        largest: How large a file may be, as in 5GB.
    """
    from huggingface_hub import split_torch_state_dict_into_shards

    tensors, _ = own_state(model)
    stored = {name: as_stored(own.to("meta"), dtype) for name, own in tensors.items()}  # of which only sizes are known
    split = split_torch_state_dict_into_shards(stored, max_shard_size=largest)
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename} if split.is_sharded else None
    return Shards(tensors, split.filename_to_tensors, index, dtype)


def serialised(
    model: Any, layers: Mapping[str, PackedLayer], dtype: torch.dtype = torch.float32
) -> tuple[bytes, dict[str, Any]]:
    """Return the file with a model's weights, some of them packed, and how each of those is unfolded.

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
    return save(tensors), forms
