"""Narrow a Hugging Face model by a plan: fewer heads, neurons and layers. Needs torch alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.transformers.standalone.attentions import ChosenHeads, NoHeads, OwnHeads, Repeated
from emoprune.problems.networks.transformers.standalone.configs import say_layers

Plan = Mapping[str, Any]
Tensors = Mapping[str, torch.Tensor]

_INDICES = ("layer_idx", "layer_id", "layer_index", "layer_number")  # what layers call their own number


def narrow(model: nn.Module, plan: Plan) -> nn.Module:
    """Narrow a model in place by what `plan` says of its layers, with undefined weights; load them afterwards."""
    blocks = model.get_submodule(plan["blocks"])
    assert isinstance(blocks, nn.ModuleList)  # noqa: S101  # written by the same code; narrows the type
    kept = [narrow_block(blocks[number], shape) for number, shape in zip(plan["kept"], plan["layers"], strict=True)]
    opened = plan.get("opened", {})
    stacks = opened.get("stacks", [plan["blocks"]])
    put_layers(model, plan["blocks"], stacks, plan["kept"], kept)
    if len(stacks) == 1 and opened.get("times", 1) == 1:
        counted(model, plan["kept"], kept)
    return model


def put_layers(
    model: nn.Module, listed: str, stacks: Sequence[str], kept: Sequence[int], layers: Sequence[nn.Module]
) -> None:
    """Put layers, which were those numbered `kept` among all, into the stacks of a model in place of its own.

    Args:
        model: Changed in place.
        listed: Where it has all its layers: the path of its one stack, or an attribute beside several of them.
        stacks: The paths of their lists.
        kept: Which layers of the unpruned model these are, rising.
        layers: In this order.
    """
    start = 0
    for path in stacks:
        before: Any = model.get_submodule(path)
        end = start + len(before)
        own = [layer for number, layer in zip(kept, layers, strict=True) if start <= number < end]
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, nn.ModuleList(own))
        start = end
        for place, layer in enumerate(own if len(stacks) > 1 else ()):
            for module in layer.modules():
                for each in _INDICES:
                    if isinstance(vars(module).get(each), int):
                        vars(module)[each] = place
    if len(stacks) > 1:
        vars(model)[listed] = nn.ModuleList(layers)


def counted(model: Any, kept: Sequence[int], blocks: Sequence[nn.Module]) -> None:
    """Say in the model's config and in its layers how many layers there are, and which is which."""
    say_layers(model.config, kept)
    for number, (block, original) in enumerate(zip(blocks, kept, strict=True)):
        for module in block.modules():
            for name in _INDICES:
                if vars(module).get(name) == original:
                    setattr(module, name, number)


def narrow_block(block: nn.Module, shape: Plan, tensors: Tensors | None = None) -> nn.Module:
    """Narrow one layer in place and return it.

    Args:
        block: The layer.
        shape: `widths` of linear layers as [in, out], `attributes` of modules, `repeated` keys and values, `no_heads`;
            where there are any, `parameters` and their shapes, heads `chosen` behind norms, `arguments` of heads, and
            what else an `emptied` attention does.
        tensors: The parameters by path; without them they are undefined.
    """
    given = {} if tensors is None else tensors
    for path, (width_in, width_out) in shape["widths"].items():
        linear = block.get_submodule(path)
        linear.in_features, linear.out_features = width_in, width_out
        _set(linear, "weight", given.get(f"{path}.weight"), (width_out, width_in))
        if linear.bias is not None:
            _set(linear, "bias", given.get(f"{path}.bias"), (width_out,))
    for path, size in shape.get("parameters", {}).items():
        owner, _, name = path.rpartition(".")
        _set(block.get_submodule(owner), name, given.get(path), tuple(size))
    for path, values in shape["attributes"].items():
        for name, value in values.items():
            _count(block.get_submodule(path), name, value)
    for path, facts in shape.get("chosen", {}).items():
        block.get_submodule(path).register_forward_hook(ChosenHeads(facts["heads"], facts["width"]))
    for path, facts in shape.get("arguments", {}).items():
        hook = OwnHeads(facts["axes"], facts["heads"], facts["before"])
        block.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True)
    for path, facts in shape["repeated"].items():
        linear = block.get_submodule(path)
        linear.__class__ = Repeated
        linear.owners, linear.width = facts["owners"], facts["width"]
    for path, output in shape["no_heads"].items():
        _empty(block, path, output, dict(shape.get("emptied", {}).get(path, {})))
    return block


def _empty(block: nn.Module, path: str, output: str | None, facts: dict[str, Any]) -> None:
    """Put what is left of an attention without heads into its place."""
    parent, _, name = path.rpartition(".")
    own = None if output is None else block.get_submodule(f"{path}.{output}")
    attention = block.get_submodule(path)
    index = next((vars(attention)[name] for name in _INDICES if name in vars(attention)), None)
    if "norm" in facts:
        facts["norm"] = (facts["norm"], block.get_submodule(f"{path}.{facts['norm']}"))
    setattr(block.get_submodule(parent), name, NoHeads(output, own, index, **facts))


def _count(module: Any, name: str, value: int) -> None:
    """Set a count of a module, or of the config that it then has for itself."""
    if name.startswith("config."):
        module.config = copy.copy(module.config)
        module, name = module.config, name.removeprefix("config.")
    setattr(module, name, value)


def _set(module: Any, name: str, tensor: torch.Tensor | None, shape: tuple[int, ...]) -> None:
    before = getattr(module, name)
    value = torch.empty(shape, dtype=before.dtype, device=before.device) if tensor is None else tensor
    setattr(module, name, nn.Parameter(value, requires_grad=False))
