"""Layers and models that have only the heads and neurons of a plan: really sliced, everything else shared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import clone
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Attention, Block, BlockPlan
from emoprune.problems.networks.transformers.anatomy.traits import KeptHeads, rows_of, traits_shape, traits_sliced
from emoprune.problems.networks.transformers.standalone.narrowing import counted, narrow_block, put_layers

__all__ = ["Adjust", "Narrower", "block_shape"]

Tensors = dict[str, torch.Tensor]
# Takes a layer's number, its plan and its sliced tensors, and returns the tensors that are different.
Adjust = Callable[[int, BlockPlan, Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]

_ALIKE = {  # attributes of an attention that count something, by what they count
    "heads": ("num_attention_heads", "num_heads", "n_heads"),
    "key_value_heads": ("num_key_value_heads", "num_kv_heads"),
    "groups": ("num_key_value_groups",),
    "channels": ("all_head_size",),
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
        made = self.with_blocks(blocks, kept)
        config = copy.deepcopy(self.model.config)
        for module in made.modules():
            if vars(module).get("config") is self.model.config:
                module.config = config
        if not self.anatomy.several and self.anatomy.opened.get("times", 1) == 1:
            counted(made, kept, blocks)
        return made

    def with_blocks(self, blocks: Sequence[nn.Module], kept: Sequence[int] | None = None) -> Any:
        """Return a clone of the model with these layers, which are those numbered `kept`, in place of its own."""
        made = clone(self.model)
        path, stacks = self.anatomy.path, self.anatomy.stacks
        numbers = range(len(blocks)) if kept is None else kept
        put_layers(made, path, stacks if self.anatomy.several else (path,), numbers, blocks)
        return made

    def plan(self, plans: Sequence[BlockPlan]) -> dict[str, Any]:
        """Return as plain data how the model is narrowed, as `standalone/narrowing.py` reads it."""
        kept = [number for number, plan in enumerate(plans) if plan.kept]
        shapes = [block_shape(self._blocks[each], self.anatomy.blocks[each], plans[each]) for each in kept]
        opened = {"opened": dict(self.anatomy.opened)} if self.anatomy.opened else {}
        return {"blocks": self.anatomy.path, "kept": kept, "layers": shapes, **opened}


def block_shape(source: nn.Module, block: Block, plan: BlockPlan) -> dict[str, Any]:
    """Return as plain data how one layer is narrowed."""
    shape: dict[str, Any] = {"widths": {}, "attributes": {}, "repeated": {}, "no_heads": {}}
    attention = block.attention
    if not len(plan.heads):
        _emptied(source, attention, shape)
    elif len(plan.heads) < attention.heads:
        _fewer_heads(source, attention, kept_heads(attention, plan), shape)
    for own, neurons in zip(block.feed_forwards, block.split(plan.neurons), strict=True):
        if len(neurons) < own.neurons:
            for path in own.inputs:
                shape["widths"][path] = [_linear(source, path).in_features, len(neurons)]
            shape["widths"][own.output] = [len(neurons), _linear(source, own.output).out_features]
    return shape


def kept_heads(attention: Attention, plan: BlockPlan) -> KeptHeads:
    """Return which heads a plan keeps of an attention, and which key heads these need."""
    needed, place = attention.owners(plan.heads)
    each = len(plan.heads) // max(1, len(needed))
    even = len(plan.heads) == each * len(needed) and np.array_equal(place, np.arange(len(needed)).repeat(each))
    return KeptHeads(plan.heads, needed, place, even)


def _emptied(source: nn.Module, attention: Attention, shape: dict[str, Any]) -> None:
    """Say in a layer's shape that nothing but the bias of its attention's output projection is left."""
    inside = attention.output.startswith(f"{attention.path}.")
    shape["widths"][attention.output] = [0, _linear(source, attention.output).out_features]
    shape["no_heads"] = {attention.path: attention.output.rpartition(".")[2] if inside else None}
    traits = attention.traits
    more = {"adds": traits.adds, "norm": traits.norm, "answers": traits.answers}
    shape["emptied"] = {attention.path: {name: own for name, own in more.items() if own not in {None, 2}}}


def _fewer_heads(source: nn.Module, attention: Attention, kept: KeptHeads, shape: dict[str, Any]) -> None:
    """Say in a layer's shape how wide its projections are, what counts heads, and which keys are to be repeated."""
    rows = {attention.query: kept.heads, attention.key: kept.needed, attention.value: kept.needed}
    for path, heads in rows.items():
        shape["widths"][path] = [_linear(source, path).in_features, len(heads) * attention.width]
    shape["widths"][attention.output] = [
        len(kept.heads) * attention.width,
        _linear(source, attention.output).out_features,
    ]
    groups = len(kept.heads) // len(kept.needed) if kept.even else 1
    values = {
        "heads": len(kept.heads),
        "key_value_heads": len(kept.heads) // groups,
        "groups": groups,
        "channels": len(kept.heads) * attention.width,
        "key_channels": len(kept.heads) // groups * attention.width,
    }
    module = source.get_submodule(attention.path)
    attributes = {
        name: values[what]
        for what, names in _ALIKE.items()
        for name in names
        if isinstance(vars(module).get(name), int)
    }
    attributes |= {name: values[what] for name, what in attention.traits.counts}
    if attributes:
        shape["attributes"] = {attention.path: attributes}
    if not kept.even:
        facts = {"width": attention.width, "owners": kept.place.tolist()}
        shape["repeated"] = {attention.key: facts, attention.value: facts}
    traits_shape(source, attention, kept, shape)


def _sliced(source: nn.Module, block: Block, plan: BlockPlan) -> Tensors:
    """Return the sliced parameters of a layer by path; those that keep their shape are left out."""
    tensors: Tensors = {}
    attention = block.attention
    if len(plan.heads) < attention.heads:
        kept = kept_heads(attention, plan)
        whole = {role for _, role in attention.traits.joint_norms}
        paths = {"query": attention.query, "key": attention.key, "value": attention.value}
        for role, path in paths.items() if len(plan.heads) else ():
            if role not in whole:
                tensors |= _outgoing(source, path, rows_of(kept.of(role), attention.width))
        tensors |= _incoming(source, attention.output, rows_of(plan.heads, attention.width))
        if len(plan.heads):
            tensors |= traits_sliced(source, attention, kept)
    for own, neurons in zip(block.feed_forwards, block.split(plan.neurons), strict=True):
        if len(neurons) < own.neurons:
            rows = torch.from_numpy(neurons)
            for path in own.inputs:
                tensors |= _outgoing(source, path, rows)
            tensors |= _incoming(source, own.output, rows)
    return tensors


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
