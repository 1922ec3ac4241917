"""Names in a config to networks and data: a built-in name, or an import target `package.module:function`."""

from __future__ import annotations

import importlib

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.digits_network import digits_network

__all__ = ["data_named", "is_built_in", "network_named"]

BUILT_IN = "digits"


def is_built_in(name: str) -> bool:
    """Whether a network or data set of that name comes with emoprune."""
    return name == BUILT_IN


def network_named(name: str) -> nn.Module:
    """Return a new network.

    Raises:
        ConfigError: There is no such network, or what the import target returns is not a torch module.
    """
    made = digits_network() if is_built_in(name) else _called("network", name)
    if not isinstance(made, nn.Module):
        raise ConfigError(f"network: expected {name!r} to return a torch.nn.Module, found {type(made).__name__}")
    return made


def data_named(name: str) -> ImageData:
    """Return labelled images in four parts.

    Raises:
        ConfigError: There is no such data, or what the import target returns is not an `ImageData`.
    """
    made = digits() if is_built_in(name) else _called("data", name)
    if not isinstance(made, ImageData):
        raise ConfigError(
            f"data: expected {name!r} to return an emoprune.problems.networks.data.images.ImageData, "
            f"found {type(made).__name__}"
        )
    return made


def _called(option: str, target: str) -> object:
    module_name, colon, attribute = target.partition(":")
    if not colon or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(
            f"{option}: no {option} is called {target!r}; expected {BUILT_IN!r} or an import target "
            "package.module:function"
        )
    try:
        function = getattr(importlib.import_module(module_name), attribute, None)
    except Exception as error:  # a stranger's module may raise anything; its own error is the cause
        raise ConfigError(
            f"{option}: cannot import {module_name!r} for {target!r}: {error}; mend or install it"
        ) from error
    if not callable(function):
        raise ConfigError(f"{option}: {module_name!r} has no function {attribute!r}; expected package.module:function")
    made: object = function()
    return made
