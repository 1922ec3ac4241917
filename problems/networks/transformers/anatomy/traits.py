"""What of an attention goes with its heads beside the projections: biases, sinks, norms, biases of position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.transformers.anatomy.structure import Attention
from emoprune.space import IntArray

__all__ = ["KeptHeads", "rows_of", "traits_shape", "traits_sliced"]


@dataclass(frozen=True, slots=True, eq=False)
class KeptHeads:
    """The heads of one attention that stay, the key heads that they need, and which of these each of them takes.

    `even` says that all needed key heads are taken by equally many, in order, so that nothing has to be repeated.
    """

    heads: IntArray
    needed: IntArray
    place: IntArray
    even: bool

    def of(self, role: str) -> IntArray:
        """Return the heads of `query`, or of `key` and `value`, whose weights stay."""
        return self.heads if role == "query" else self.needed

    def chosen(self, role: str) -> IntArray:
        """Return the heads of the whole attention that it goes on with, one for each query head if need be."""
        return self.heads if role == "query" else self.needed if self.even else self.needed[self.place]


def rows_of(heads: IntArray, width: int) -> torch.Tensor:
    """Return the channels of heads."""
    return torch.from_numpy((heads[:, np.newaxis] * width + np.arange(width)).reshape(-1))


def traits_shape(source: nn.Module, attention: Attention, kept: KeptHeads, shape: dict[str, Any]) -> None:
    """Add to the shape of a narrowed layer, as plain data, what goes with the heads that it keeps."""
    traits, width = attention.traits, attention.width
    paths = {"query": attention.query, "key": attention.key}
    parameters: dict[str, list[int]] = {}
    for path, role in traits.alike:
        channels = len(kept.of(role)) * width
        linear = _linear_at(source, path)
        if linear is None:
            parameters[path] = [channels]
        else:
            shape["widths"][path] = [linear.in_features, channels]
    for path, axis in traits.per_head:
        size = list(source.get_parameter(path).shape)
        size[axis] = len(kept.heads)
        parameters[path] = size
    chosen = {path: {"heads": kept.chosen(role).tolist(), "width": width} for path, role in traits.joint_norms}
    for _, role in traits.joint_norms:
        shape["widths"].pop(paths[role])
        shape["repeated"].pop(paths[role], None)
    facts = {"axes": dict(traits.arguments), "heads": kept.heads.tolist(), "before": attention.heads}
    more = {
        "parameters": parameters,
        "chosen": chosen,
        "arguments": {attention.path: facts} if traits.arguments else {},
    }
    shape.update({name: own for name, own in more.items() if own})


def traits_sliced(source: nn.Module, attention: Attention, kept: KeptHeads) -> dict[str, torch.Tensor]:
    """Return the sliced parameters that go with the heads that are kept, by their paths in the layer."""
    tensors: dict[str, torch.Tensor] = {}
    for path, role in attention.traits.alike:
        rows = rows_of(kept.of(role), attention.width)
        linear = _linear_at(source, path)
        own: Mapping[str, Any] = {path: source.get_parameter(path)} if linear is None else _tensors(path, linear)
        tensors |= {name: tensor.detach().index_select(0, rows) for name, tensor in own.items()}
    for path, axis in attention.traits.per_head:
        tensors[path] = source.get_parameter(path).detach().index_select(axis, torch.from_numpy(kept.heads))
    return tensors


def _linear_at(source: nn.Module, path: str) -> nn.Linear | None:
    found = source
    for name in path.split("."):
        found = getattr(found, name)
    return found if isinstance(found, nn.Linear) else None


def _tensors(path: str, linear: nn.Linear) -> dict[str, torch.Tensor]:
    biased = {} if linear.bias is None else {f"{path}.bias": linear.bias}
    return {f"{path}.weight": linear.weight, **biased}
