"""What attentions with fewer heads are made of: repeated keys, chosen heads, and what is left without any.

Needs torch alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional


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
    """What is left of an attention without heads: the bias of its output projection, and its place in a cache.

    Some attentions add an argument, the one behind the hidden states, to what they put out; some put a norm on the sum
    of what goes in and comes out; most return two things.
    """

    def __init__(
        self,
        name: str | None,
        output: nn.Module | None,
        layer_idx: int | None,
        *,
        adds: str | None = None,
        norm: tuple[str, nn.Module] | None = None,
        answers: int = 2,
    ) -> None:
        super().__init__()
        self.name = name
        self.layer_idx = layer_idx
        self.adds = adds
        self.norm = None if norm is None else norm[0]
        self.answers = answers
        for own, module in ((name, output), norm or (None, None)):
            if own is not None:
                self.add_module(own, module)

    def forward(self, hidden_states: torch.Tensor, *others: Any, **named: Any) -> tuple[torch.Tensor | None, ...]:
        """Return what the output projection makes of nothing, or nothing where it comes later."""
        if self.layer_idx is not None:
            self._counted_in(hidden_states, [*others, *named.values()])
        nothing = hidden_states[..., :0]
        found = nothing if self.name is None else self.get_submodule(self.name)(nothing)
        if self.adds is not None:
            found = found + (named[self.adds] if self.adds in named else others[0])
        if self.norm is not None:
            found = self.get_submodule(self.norm)(hidden_states + found)
        return (found, *[None] * (self.answers - 1))

    def _counted_in(self, hidden_states: torch.Tensor, given: Sequence[Any]) -> None:
        """Put a number for each token into the cache: models ask one layer's cache how many tokens came before."""
        cache = next((each for each in given if hasattr(each, "update") and hasattr(each, "get_seq_length")), None)
        cache = getattr(cache, "self_attention_cache", cache)
        if cache is not None:
            number = hidden_states[:, None, :, :1]
            cache.update(number, number[..., :0], self.layer_idx)


class ChosenHeads:
    """A hook on a norm over all heads: of what it puts out it hands on these heads alone."""

    def __init__(self, heads: Sequence[int], width: int) -> None:
        self.heads = list(heads)
        self.width = width

    def __call__(self, _module: nn.Module, _arguments: Any, outputs: torch.Tensor) -> torch.Tensor:
        """Return the chosen heads' channels."""
        return outputs.view(*outputs.shape[:-1], -1, self.width)[..., self.heads, :].flatten(-2)


class OwnHeads:
    """A hook on an attention: of arguments that have an axis of heads it takes what belongs to those that are left."""

    def __init__(self, axes: Mapping[str, int], heads: Sequence[int], before: int) -> None:
        self.axes = dict(axes)
        self.heads = list(heads)
        self.before = before

    def __call__(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the arguments, those of heads narrowed."""
        names = list(inspect.signature(module.forward).parameters)
        positional = [self._own(name, own) for name, own in zip(names, arguments, strict=False)]
        return (*positional, *arguments[len(positional) :]), {name: self._own(name, own) for name, own in named.items()}

    def _own(self, name: str, value: Any) -> Any:
        if name not in self.axes or not isinstance(value, torch.Tensor) or value.ndim <= self.axes[name]:
            return value
        axis = self.axes[name]
        if value.shape[axis] % self.before:  # the same for all heads
            return value
        parted = value.reshape(*value.shape[:axis], -1, self.before, *value.shape[axis + 1 :])
        index = torch.tensor(self.heads, device=value.device)
        return parted.index_select(axis + 1, index).flatten(axis, axis + 1)
