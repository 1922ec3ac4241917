"""Whether what a recovery returns is the pruned network with other weights, and not another one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from emoprune.errors import ContractError

__all__ = ["check_shapes", "check_zeros"]


def check_shapes(found: object, pruned: nn.Module) -> None:
    """Refuse what has other tensors than the pruned network: its size is counted of what was pruned.

    Args:
        found: What a recovery returned.
        pruned: With the names and shapes that it has to have.

    Raises:
        ContractError: It is no network, or a name or a shape differs; it names the first.
    """
    if not isinstance(found, nn.Module):
        raise ContractError(f"recovery: expected a torch module in return, found {type(found).__name__}")
    for kind in ("parameters", "buffers"):
        shapes, expected = (
            {name: tuple(tensor.shape) for name, tensor in getattr(network, f"named_{kind}")()}
            for network in (found, pruned)
        )
        for name in sorted(shapes.keys() | expected.keys()):
            if shapes.get(name) != expected.get(name):
                raise ContractError(
                    f"recovery: expected the {kind} of the pruned network, {name!r} {_shape(expected.get(name))}, "
                    f"found it {_shape(shapes.get(name))}; return a trained copy of what the case holds"
                )


def check_zeros(found: nn.Module, zeros: Mapping[str, torch.Tensor], *, anywhere: bool = False) -> None:
    """Refuse what has fewer zeros than its size is counted of.

    Args:
        found: A network with the shapes of the pruned one.
        zeros: By a parameter's name a mask of its shape, true where a weight is zero and has to stay so.
        anywhere: Whether as many other weights of the same parameter may be zero instead.

    Raises:
        ContractError: It names the first parameter.
    """
    parameters = dict(found.named_parameters())
    for name, mask in zeros.items():
        own = parameters[name].detach()
        lost = int(mask.sum()) - int((own == 0).sum()) if anywhere else int(own[mask].count_nonzero())
        if lost > 0:
            raise ContractError(f"recovery: expected {name!r} with its zeros kept; set them to 0 after each step")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"
