"""Layers and models that have only the heads and neurons of a plan: really sliced, everything else shared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import clone
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Block, BlockPlan
from emoprune.problems.networks.transformers.standalone.narrowing import counted, narrow_block
from emoprune.space import IntArray

__all__ = ["Adjust", "Narrower", "block_shape"]

Tensors = dict[str, torch.Tensor]
# Takes a layer's number, its plan and its sliced tensors, and returns the tensors that are different.
Adjust = Callable[[int, BlockPlan, Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]

_ALIKE = {  # attributes of an attention that count something, by what they count
    "heads": ("num_attention_heads", "num_heads", "n_heads"),
    "key_value_heads": ("num_key_value_heads", "num_kv_heads"),
    "groups": ("num_key_value_groups",),
    "all": ("all_head_size",),
}


class Narrower:
    """Cuts layers and models out of an unpruned model; it stays as it was, and shares what is not cut.

    Args:
        model: In eval mode.
        anatomy: Where its heads and neurons are.
        adjust: What is changed of a layer's sliced tensors, such as repaired or rounded weights; None changes nothing.
    """

    def __init__(self, model: Any, anatomy: Anatomy, adjust: Adjust | None = None) -> None:
        self.model = model
        self.anatomy = anatomy
        self._adjust = adjust
        self._blocks: Any = model.get_submodule(anatomy.path)

    def block(self, number: int, plan: BlockPlan) -> nn.Module:
        """Return one layer with what the plan keeps, which must be something."""
        source, block = self._blocks[number], self.anatomy.blocks[number]
        shape = block_shape(source, block, plan)
        tensors = _sliced(source, block, plan)
        if self._adjust is not None:
            tensors |= self._adjust(number, plan, tensors)
        made = narrow_block(clone(source), shape, tensors)
        for path, tensor in tensors.items():  # of layers that keep their shape
            owner, _, name = path.rpartition(".")
            if owner not in shape["widths"]:
                setattr(made.get_submodule(owner), name, nn.Parameter(tensor, requires_grad=False))
        return made

    def narrowed(self, plans: Sequence[BlockPlan]) -> Any:
        """Return the whole model with what the plans keep of its layers, with a config of its own."""
        kept = [number for number, plan in enumerate(plans) if plan.kept]
        blocks = [self.block(number, plans[number]) for number in kept]
        made = self.with_blocks(blocks)
        config = copy.deepcopy(self.model.config)
        for module in made.modules():
            if vars(module).get("config") is self.model.config:
                module.config = config
        counted(made, kept, blocks)
        return made

    def with_blocks(self, blocks: Sequence[nn.Module]) -> Any:
        """Return a clone of the model with these layers in place of its own."""
        made = clone(self.model)
        parent, _, name = self.anatomy.path.rpartition(".")
        setattr(made.get_submodule(parent), name, nn.ModuleList(blocks))
        return made

    def plan(self, plans: Sequence[BlockPlan]) -> dict[str, Any]:
        """Return as plain data how the model is narrowed, as `standalone/narrowing.py` reads it."""
        kept = [number for number, plan in enumerate(plans) if plan.kept]
        shapes = [block_shape(self._blocks[each], self.anatomy.blocks[each], plans[each]) for each in kept]
        return {"blocks": self.anatomy.path, "kept": kept, "layers": shapes}


def block_shape(source: nn.Module, block: Block, plan: BlockPlan) -> dict[str, Any]:
    """Return as plain data how one layer is narrowed."""
    shape: dict[str, Any] = {"widths": {}, "attributes": {}, "repeated": {}, "no_heads": {}}
    attention = block.attention
    if len(plan.heads) < attention.heads:
        needed, place = attention.owners(plan.heads)
        rows = {attention.query: len(plan.heads), attention.key: len(needed), attention.value: len(needed)}
        for path, count in rows.items():
            shape["widths"][path] = [_linear(source, path).in_features, count * attention.width]
        shape["widths"][attention.output] = [
            len(plan.heads) * attention.width,
            _linear(source, attention.output).out_features,
        ]
        if len(plan.heads):
            shape["attributes"], shape["repeated"] = _grouping(source, block, len(plan.heads), len(needed), place)
        else:
            inside = attention.output.startswith(f"{attention.path}.")
            shape["no_heads"] = {attention.path: attention.output.rpartition(".")[2] if inside else None}
            for path in rows:
                del shape["widths"][path]
    for own, neurons in zip(block.feed_forwards, block.split(plan.neurons), strict=True):
        if len(neurons) < own.neurons:
            for path in own.inputs:
                shape["widths"][path] = [_linear(source, path).in_features, len(neurons)]
            shape["widths"][own.output] = [len(neurons), _linear(source, own.output).out_features]
    return shape


def _grouping(
    source: nn.Module, block: Block, heads: int, key_value_heads: int, place: IntArray
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes that count heads, and the keys and values to repeat where groups are of unequal sizes."""
    attention = block.attention
    even = heads % key_value_heads == 0 and np.array_equal(
        place, np.arange(key_value_heads).repeat(heads // key_value_heads)
    )
    groups = heads // key_value_heads if even else 1
    values = {
        "heads": heads,
        "key_value_heads": heads // groups,
        "groups": groups,
        "all": heads * attention.width,
    }
    module = source.get_submodule(attention.path)
    attributes = {
        name: values[what]
        for what, names in _ALIKE.items()
        for name in names
        if isinstance(vars(module).get(name), int)
    }
    facts = {"width": attention.width, "owners": place.tolist()}
    repeated = {} if even else {attention.key: facts, attention.value: facts}
    return ({attention.path: attributes} if attributes else {}), repeated


def _sliced(source: nn.Module, block: Block, plan: BlockPlan) -> Tensors:
    """Return the sliced parameters of a layer by path; those that keep their shape are left out."""
    tensors: Tensors = {}
    attention = block.attention
    if len(plan.heads) < attention.heads:
        needed, _ = attention.owners(plan.heads)
        queries, keys = _rows(plan.heads, attention.width), _rows(needed, attention.width)
        for path, rows in ((attention.query, queries), (attention.key, keys), (attention.value, keys)):
            if len(rows):
                tensors |= _outgoing(source, path, rows)
        tensors |= _incoming(source, attention.output, queries)
    for own, neurons in zip(block.feed_forwards, block.split(plan.neurons), strict=True):
        if len(neurons) < own.neurons:
            rows = torch.from_numpy(neurons)
            for path in own.inputs:
                tensors |= _outgoing(source, path, rows)
            tensors |= _incoming(source, own.output, rows)
    return tensors


def _rows(heads: IntArray, width: int) -> torch.Tensor:
    return torch.from_numpy((heads[:, np.newaxis] * width + np.arange(width)).reshape(-1))


def _outgoing(source: nn.Module, path: str, rows: torch.Tensor) -> Tensors:
    linear = _linear(source, path)
    found = {f"{path}.weight": linear.weight.detach().index_select(0, rows)}
    if linear.bias is not None:
        found[f"{path}.bias"] = linear.bias.detach()[rows]
    return found


def _incoming(source: nn.Module, path: str, columns: torch.Tensor) -> Tensors:
    linear = _linear(source, path)
    found = {f"{path}.weight": linear.weight.detach().index_select(1, columns)}
    if linear.bias is not None:
        found[f"{path}.bias"] = linear.bias.detach()
    return found


def _linear(source: nn.Module, path: str) -> nn.Linear:
    linear = source.get_submodule(path)
    assert isinstance(linear, nn.Linear)  # noqa: S101  # found as one; narrows the type
    return linear
