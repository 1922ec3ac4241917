"""Mixtures of experts of which each is a module of its own. Needs torch alone."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn


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


class ClampedExpert(Expert):
    """One feed-forward network of a mixture with biases, its gates and values clamped, as of gpt-oss."""

    def __init__(self, fused: Any, number: int) -> None:
        both, bias = fused.gate_up_proj.detach()[number].T, fused.gate_up_proj_bias.detach()[number]
        super().__init__(both[::2], both[1::2], fused.down_proj.detach()[number].T, None)
        biases = (bias[::2], bias[1::2], fused.down_proj_bias.detach()[number])
        for linear, own in zip((self.gate_proj, self.up_proj, self.down_proj), biases, strict=True):
            linear.weight = nn.Parameter(linear.weight.detach().contiguous(), requires_grad=False)
            linear.bias = nn.Parameter(own.clone(), requires_grad=False)
        self.alpha, self.limit = fused.alpha, fused.limit

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return its output for some tokens, shape (tokens, width)."""
        gate = self.gate_proj(hidden_states).clamp(max=self.limit)
        up = self.up_proj(hidden_states).clamp(min=-self.limit, max=self.limit)
        result: torch.Tensor = self.down_proj((up + 1) * gate * torch.sigmoid(gate * self.alpha))
        return result


class Experts(nn.Module):
    """The experts of a mixture as modules of their own, so that each can be as wide as it is."""

    def __init__(self, fused: Any, *, clamped: bool = False) -> None:
        super().__init__()
        made = ClampedExpert if clamped else _expert
        self.members = nn.ModuleList(made(fused, number) for number in range(len(fused.gate_up_proj)))

    def forward(self, hidden_states: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the chosen experts' outputs; all of shape (tokens, ...)."""
        total = torch.zeros_like(hidden_states)
        for number, expert in enumerate(self.members):
            tokens, places = torch.where(index == number)
            if len(tokens):
                own = expert(hidden_states[tokens]) * weights[tokens, places, None]
                total = total.index_add(0, tokens, own.to(total.dtype))
        return total


def _expert(fused: Any, number: int) -> Expert:
    both = fused.gate_up_proj.detach()[number]
    half = len(both) // 2
    return Expert(both[:half], both[half:], fused.down_proj.detach()[number], fused.act_fn)


def _linear(weight: torch.Tensor) -> nn.Linear:
    made = nn.Linear(1, 1, bias=False)
    made.out_features, made.in_features = weight.shape
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def unfused(model: nn.Module, *, clamped: bool = False) -> nn.Module:
    """Give the experts of every mixture in the model modules of their own; it is changed in place and returned.

    Args:
        model: As its library makes it; mixtures that are unfused already stay as they are.
        clamped: Whether experts have biases, and clamp their gates and values.
    """
    fused = [
        path
        for path, module in model.named_modules()
        if {"gate_up_proj", "down_proj"} <= set(module._parameters)  # noqa: SLF001  # parameters, not modules, tell
        and module._parameters["gate_up_proj"].ndim == 3  # noqa: SLF001  # as above
        and (hasattr(module, "gate_up_proj_bias") if clamped else hasattr(module, "act_fn"))
        and len(inspect.signature(module.forward).parameters) == 3  # tokens, the experts they go to, and how much
    ]
    for path in fused:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, Experts(model.get_submodule(path), clamped=clamped))
    return model
