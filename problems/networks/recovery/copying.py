"""Copies of a network that can be trained without changing the tensors that candidates share."""

from __future__ import annotations

import torch
from torch import nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.coupling.pruned_module import clone

__all__ = ["drawn_anew", "trainable"]


def trainable(network: nn.Module) -> nn.Module:
    """Return a copy with tensors of its own whose floating-point parameters all take gradients."""
    made = clone(network)
    owned: dict[int, torch.Tensor] = {}  # one tensor under two names stays one
    for module in made.modules():
        for name, parameter in module._parameters.items():  # noqa: SLF001  # of this copy alone
            if parameter is not None:
                module._parameters[name] = _own_parameter(parameter, owned)  # noqa: SLF001  # as above
        for name, buffer in module._buffers.items():  # noqa: SLF001  # as above
            if buffer is not None:
                module._buffers[name] = owned.setdefault(id(buffer), _copied(buffer))  # noqa: SLF001  # as above
    return made


def _own_parameter(parameter: nn.Parameter, owned: dict[int, torch.Tensor]) -> nn.Parameter:
    if id(parameter) not in owned:
        owned[id(parameter)] = nn.Parameter(_copied(parameter), requires_grad=parameter.is_floating_point())
    found = owned[id(parameter)]
    assert isinstance(found, nn.Parameter)  # noqa: S101  # parameters and buffers share no tensor; narrows the type
    return found


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    # Contiguous, so that the layout in which candidates are scored does not decide the last bits of training.
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def drawn_anew(network: nn.Module, seed: int) -> nn.Module:
    """Return a network of the same shape with fresh weights, each module's as it draws them itself.

    What no module draws (a bare parameter, such as a layer scale) gets its present values in a random order: their
    distribution stays, what was learnt of single channels goes.

    Args:
        network: Stays as it was.
        seed: Decides the weights.
    """
    made = trainable(network)
    drawn: set[int] = set()
    with seeded(seed), torch.no_grad():
        for module in made.modules():
            draw = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(draw):
                draw()
                drawn |= {id(parameter) for parameter in module.parameters(recurse=False)}
        for parameter in made.parameters():
            if id(parameter) not in drawn:
                parameter.copy_(parameter.flatten()[torch.randperm(parameter.numel())].view_as(parameter))
    return made
