"""Which layers slicing is known for, and what it does not cover of them."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["BUFFER", "KNOWN", "NUMBER", "PARAMETER", "STANDARD", "kind_of", "name_of", "reads_and_makes", "uncovered"]

PARAMETER = "Parameter"  # the kind of a bare parameter
BUFFER = "Buffer"  # that of a bare buffer
NUMBER = "Number"  # that of a number of channels in a module's attribute

_PRODUCING = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    nn.Linear,
)
KNOWN: tuple[type[nn.Module], ...] = (
    *_PRODUCING,
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.LayerNorm, nn.GroupNorm, nn.PReLU),
)


# Attributes of these that count their channels: slicing gives them their new values.
STANDARD = frozenset(
    {"in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels", "normalized_shape"}
    | {"num_parameters", "groups", "num_groups", "kernel_size", "stride", "padding", "dilation", "output_padding"}
)


def kind_of(module: nn.Module) -> str:
    """Return the name of torch's class that a module is, or derives from; the full name of its own class otherwise."""
    known = next((each for each in KNOWN if isinstance(module, each)), None)
    own = type(module)
    return f"{own.__module__}.{own.__qualname__}" if known is None else known.__name__


def name_of(module: nn.Module) -> str:
    """Return the name of a module's own class, as a person calls it."""
    return type(module).__name__


def reads_and_makes(module: nn.Module) -> bool:
    """Whether a module puts out other channels than it takes in: a convolution or a linear layer."""
    return isinstance(module, _PRODUCING)


def uncovered(module: Any) -> str | None:
    """Return why slicing is not known for a module that holds channels, or None where it is."""
    if not isinstance(module, KNOWN):
        return f"no slicing is known for a {name_of(module)}"
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) and module.groups != 1:
        return "no slicing is known for grouped transposed convolutions"
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1:
        return "a LayerNorm over several axes mixes channels with places"
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and not module.track_running_stats:
        return "a batch norm without running statistics lets an image's result depend on its batch"
    return None
