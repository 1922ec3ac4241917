"""Open what a model keeps in one piece: fused projections, transposed ones, shared layers. Needs torch alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.transformers.standalone.mixtures import unfused


class Fused(nn.Module):
    """Several linear layers in the place of one: what they put out lies as the one layer's outputs did.

    `width` is a head's where queries, keys and values lie together for each key head, and 0 where one part follows the
    other.
    """

    def __init__(self, parts: Mapping[str, nn.Linear], width: int, *, transposed: bool = False) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.width = width
        self.transposed = transposed  # whether its library keeps the weight so
        for name, linear in parts.items():
            self.add_module(name, linear)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all parts, shape (..., channels)."""
        found = [self.get_submodule(name)(hidden_states) for name in self.parts]
        if not self.width:
            return torch.cat(found, dim=-1)
        groups = found[-1].shape[-1] // self.width
        heads = [own.unflatten(-1, (groups, -1, self.width)) for own in found]
        return torch.cat(heads, dim=-2).flatten(-3)


class Looped(nn.Module):
    """Runs a layer several times with the same weights; the layer's own class stands behind it."""

    times: int

    def forward(self, hidden_states: torch.Tensor, *positional: Any, **named: Any) -> torch.Tensor:
        """Return the hidden states after all turns."""
        for _ in range(self.times):
            hidden_states = super().forward(hidden_states, *positional, **named)
        return hidden_states


class WithoutGiven:
    """A hook on a module: an argument that it is given is not, so that it makes one of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, _module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the arguments without it."""
        return arguments, {**named, self.name: None}


def open_layers(model: nn.Module, opened: Mapping[str, Any]) -> nn.Module:
    """Open the layers of a model in place and return it; what is open already stays as it is.

    Args:
        model: As its library makes it.
        opened: `stacks`, the paths of their lists; within each layer the paths of `transposed` linear layers, and
            `fused` ones with the outputs of their `parts`, the `width` of a head, into how many `shards` they are cut,
            and `settings` of the module that has them, as they are afterwards; how many `times` the layers run;
            the attribute in which the layers of several stacks are `listed`; and the attention and the name of a
            `table` of position biases that all layers of a stack use and only the first has; whether experts are
            `clamped`. Nothing where there is nothing to open but mixtures.
    """
    unfused(model, clamped=opened.get("clamped", False))
    if not opened:
        return model
    layers = [layer for path in opened["stacks"] for layer in _list(model, path)]
    for layer in layers:
        _open_projections(layer, opened)
    if opened["times"] > 1:
        _loop(model.get_submodule(opened["stacks"][0].rpartition(".")[0]), layers, opened["times"])
    for path in opened["stacks"] if opened["table"] else ():
        _give_tables(list(_list(model, path)), *opened["table"])
    if len(opened["stacks"]) > 1:  # no parameter of its own, and nothing that a search for modules or a file sees
        vars(model)[opened["listed"]] = nn.ModuleList(layers)
    return model


def _open_projections(layer: nn.Module, opened: Mapping[str, Any]) -> None:
    for path in opened["transposed"]:
        _put(layer, path, as_linear(layer.get_submodule(path)))
    for path, facts in opened["fused"].items():
        whole = layer.get_submodule(path)
        if isinstance(whole, Fused):  # opened before
            continue
        _put(layer, path, _parted(as_linear(whole), facts))
        for name, value in facts.get("settings", {}).items():
            setattr(layer.get_submodule(path.rpartition(".")[0]), name, value)


def _loop(holder: Any, layers: list[Any], times: int) -> None:
    """Let each layer run several times, and say in the config of what holds them that these are all there are."""
    holder.config = copy.copy(holder.config)
    holder.config.num_hidden_layers = len(layers)
    for layer in layers:
        if not isinstance(layer, Looped):
            layer.__class__ = type(type(layer).__name__, (Looped, type(layer)), {})
            layer.times = times


def _give_tables(layers: list[nn.Module], path: str, name: str) -> None:
    """Let every layer of a stack have a table of position biases of its own, so that each can have other heads."""
    attentions: list[Any] = [layer.get_submodule(path) for layer in layers]
    for attention in attentions:
        if not hasattr(attention, name):
            setattr(attention, name, copy.deepcopy(getattr(attentions[0], name)))
            attention.has_relative_attention_bias = True
        if not attention._forward_pre_hooks:  # noqa: SLF001  # not opened before
            attention.register_forward_pre_hook(WithoutGiven("position_bias"), with_kwargs=True)


def _list(model: nn.Module, path: str) -> Any:
    return model.get_submodule(path)


def _put(layer: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(layer.get_submodule(parent), name, module)


def as_linear(module: Any) -> nn.Linear:
    """Return a linear layer, or one for a layer that keeps its weight transposed, as GPT-2's `Conv1D`."""
    if isinstance(module, nn.Linear):
        return module
    made = _linear(module.weight.T, module.bias)
    vars(made)["transposed"] = True  # in its library
    return made


def _parted(whole: nn.Linear, facts: Mapping[str, Any]) -> Fused:
    """Return the parts of a fused layer; the facts say their outputs and how they lie."""
    sizes, width = facts["parts"], facts["width"]
    groups = list(sizes.values())[-1] // width if width else facts["shards"]
    weights = _rows(whole.weight, sizes, groups)
    biases = [None] * len(sizes) if whole.bias is None else _rows(whole.bias, sizes, groups)
    linears = {name: _linear(*own) for name, *own in zip(sizes, weights, biases, strict=True)}
    return Fused(linears, width, transposed=hasattr(whole, "transposed"))


def _rows(tensor: torch.Tensor, sizes: Mapping[str, int], groups: int) -> list[torch.Tensor]:
    """Return the rows of each part, of which an equal share lies in each of the groups."""
    each = [size // groups for size in sizes.values()]
    parts = torch.split(tensor.view(groups, -1, *tensor.shape[1:]), each, dim=1)
    return [own.flatten(0, 1) for own in parts]


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    made = nn.Linear(1, 1, bias=bias is not None)
    made.out_features, made.in_features = weight.shape
    made.weight = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format), weight.requires_grad)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return made
