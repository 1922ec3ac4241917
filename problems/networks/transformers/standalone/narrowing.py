"""Narrow a Hugging Face model by a plan: fewer heads, neurons and layers. Needs torch alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Plan = Mapping[str, Any]
Tensors = Mapping[str, torch.Tensor]

_INDICES = ("layer_idx", "layer_id", "layer_index", "layer_number")  # what layers call their own number
_STARTS = ("max_window_layers", "first_k_dense_replace")  # settings that say from which layer on something is so
_WIDTHS = ("intermediate_size", "num_attention_heads", "num_key_value_heads")  # settings that may be lists by layer


class Repeated(nn.Linear):
    """Keys or values of which each query head takes its own: output head i is head `owners[i]` of the weight."""

    owners: list[int]
    width: int

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return one key or value per query head."""
        flat = functional.linear(hidden_states, self.weight, self.bias)
        heads = flat.view(*flat.shape[:-1], -1, self.width)[..., self.owners, :]
        return heads.flatten(-2)


class NoHeads(nn.Module):
    """What is left of an attention without heads: the bias of its output projection, and its place in a cache."""

    def __init__(self, name: str | None, output: nn.Module | None, layer_idx: int | None) -> None:
        super().__init__()
        self.name = name
        self.layer_idx = layer_idx
        if name is not None:
            self.add_module(name, output)

    def forward(self, hidden_states: torch.Tensor, *more: Any, **named: Any) -> tuple[torch.Tensor, None]:
        """Return what the output projection makes of nothing, or nothing where it comes later."""
        if self.layer_idx is not None:
            self._counted_in(hidden_states, [*more, *named.values()])
        nothing = hidden_states[..., :0]
        return (nothing if self.name is None else self.get_submodule(self.name)(nothing)), None

    def _counted_in(self, hidden_states: torch.Tensor, given: Sequence[Any]) -> None:
        """Put a number for each token into the cache: models ask one layer's cache how many tokens came before."""
        cache = next((each for each in given if hasattr(each, "update") and hasattr(each, "get_seq_length")), None)
        cache = getattr(cache, "self_attention_cache", cache)
        if cache is not None:
            number = hidden_states[:, None, :, :1]
            cache.update(number, number[..., :0], self.layer_idx)


class Expert(nn.Module):
    """One gated feed-forward network of a mixture."""

    def __init__(self, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, activation: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = _linear(gate), _linear(up), _linear(down)
        self.activation = activation

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return its output for some tokens, shape (tokens, width)."""
        result: torch.Tensor = self.down_proj(
            self.activation(self.gate_proj(hidden_states)) * self.up_proj(hidden_states)
        )
        return result


class Experts(nn.Module):
    """The experts of a mixture as modules of their own, so that each can be as wide as it is."""

    def __init__(self, fused: Any) -> None:
        super().__init__()
        gates = fused.gate_up_proj.detach()
        half = gates.shape[1] // 2
        downs = fused.down_proj.detach()
        self.members = nn.ModuleList(
            Expert(own[:half], own[half:], down, fused.act_fn) for own, down in zip(gates, downs, strict=True)
        )

    def forward(self, hidden_states: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the chosen experts' outputs; all of shape (tokens, ...)."""
        total = torch.zeros_like(hidden_states)
        for number, expert in enumerate(self.members):
            tokens, places = torch.where(index == number)
            if len(tokens):
                own = expert(hidden_states[tokens]) * weights[tokens, places, None]
                total = total.index_add(0, tokens, own.to(total.dtype))
        return total


def _linear(weight: torch.Tensor) -> nn.Linear:
    made = nn.Linear(1, 1, bias=False)
    made.out_features, made.in_features = weight.shape
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def unfused(model: nn.Module) -> nn.Module:
    """Give the experts of every mixture in the model modules of their own; it is changed in place and returned."""
    fused = [
        path
        for path, module in model.named_modules()
        if {"gate_up_proj", "down_proj"} <= set(module._parameters)  # noqa: SLF001  # parameters, not modules, tell
        and module._parameters["gate_up_proj"].ndim == 3  # noqa: SLF001  # as above
        and hasattr(module, "act_fn")
    ]
    for path in fused:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, Experts(model.get_submodule(path)))
    return model


def narrow(model: nn.Module, plan: Plan) -> nn.Module:
    """Narrow a model in place by what `plan` says of its layers, with undefined weights; load them afterwards."""
    unfused(model)
    blocks = model.get_submodule(plan["blocks"])
    assert isinstance(blocks, nn.ModuleList)  # noqa: S101  # written by the same code; narrows the type
    kept = [narrow_block(blocks[number], shape) for number, shape in zip(plan["kept"], plan["layers"], strict=True)]
    parent, _, name = plan["blocks"].rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(kept))
    counted(model, plan["kept"], kept)
    return model


def unpruned(config: Any) -> Any:
    """Return a copy of an exported config that says what the unpruned model's said of its layers."""
    whole = copy.deepcopy(config)
    for name, value in config.pruning["unpruned"].items():
        setattr(whole, name, value)
    return whole


def counted(model: Any, kept: Sequence[int], blocks: Sequence[nn.Module]) -> None:
    """Say in the model's config and in its layers how many layers there are, and which is which."""
    say_layers(model.config, kept)
    for number, (block, original) in enumerate(zip(blocks, kept, strict=True)):
        for module in block.modules():
            for name in _INDICES:
                if vars(module).get(name) == original:
                    setattr(module, name, number)


def say_layers(config: Any, kept: Sequence[int]) -> None:
    """Say in a config that of its layers only those numbered `kept` are there."""
    before = getattr(config, "num_hidden_layers", None)
    if before is None or before <= max(kept):  # of another stack of the model
        return
    config.num_hidden_layers = len(kept)
    for name, value in list(vars(config).items()):
        if name in _STARTS and isinstance(value, int):
            setattr(config, name, sum(number < value for number in kept))
        elif isinstance(value, list | tuple) and ("layer" in name or name in _WIDTHS):
            setattr(config, name, _of_layers(list(value), kept, before))
    if "attention_types" in vars(config) and "attention_layers" in vars(config):  # the same, written shorter
        config.attention_types = [[list(config.attention_layers), 1]]


def _of_layers(values: list[Any], kept: Sequence[int], before: int) -> list[Any]:
    """Return of a list about layers what is about those that are kept: of one value each, or of their numbers."""
    numbers = all(type(each) is int and each < before for each in values) and values == sorted(set(values))
    if numbers and not (len(values) == before and set(values) <= {0, 1}):
        return [place for place, number in enumerate(kept) if number in values]
    return [values[number] for number in kept] if len(values) == before else values


def narrow_block(block: nn.Module, shape: Plan, tensors: Tensors | None = None) -> nn.Module:
    """Narrow one layer in place and return it.

    Args:
        block: The layer.
        shape: `widths` of linear layers as [in, out], `attributes` of modules, `repeated` keys and values, `no_heads`.
        tensors: The parameters by path; without them they are undefined.
    """
    given = {} if tensors is None else tensors
    for path, (width_in, width_out) in shape["widths"].items():
        linear = block.get_submodule(path)
        linear.in_features, linear.out_features = width_in, width_out
        _set(linear, "weight", given.get(f"{path}.weight"), (width_out, width_in))
        if linear.bias is not None:
            _set(linear, "bias", given.get(f"{path}.bias"), (width_out,))
    for path, values in shape["attributes"].items():
        for name, value in values.items():
            setattr(block.get_submodule(path), name, value)
    for path, facts in shape["repeated"].items():
        linear = block.get_submodule(path)
        linear.__class__ = Repeated
        linear.owners, linear.width = facts["owners"], facts["width"]
    for path, output in shape["no_heads"].items():
        parent, _, name = path.rpartition(".")
        own = None if output is None else block.get_submodule(f"{path}.{output}")
        attention = block.get_submodule(path)
        index = next((vars(attention)[name] for name in _INDICES if name in vars(attention)), None)
        setattr(block.get_submodule(parent), name, NoHeads(output, own, index))
    return block


def _set(linear: nn.Module, name: str, tensor: torch.Tensor | None, shape: tuple[int, ...]) -> None:
    value = torch.empty(shape, dtype=linear.weight.dtype) if tensor is None else tensor  # type: ignore[arg-type]  # a tensor's
    setattr(linear, name, nn.Parameter(value, requires_grad=False))
