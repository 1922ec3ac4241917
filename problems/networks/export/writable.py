"""A network made ready to be written: on the CPU, with the code that makes it again."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.plugins import find
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.export.definition.definition import Definition, NotDefinable, definition_of
from emoprune.problems.networks.export.narrowing import narrowed_layers

__all__ = ["NarrowedOriginal", "Writable", "on_cpu", "writable"]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, eq=False)
class NarrowedOriginal:
    """The function that makes the unpruned network, what to narrow of it, and why the network needs its own code.

    `place` is the folder its module is imported from.
    """

    target: str
    layers: Mapping[str, Any]
    reason: str
    place: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Writable:
    """A network on the CPU in eval mode, the shape of one image, and the code that makes the network again."""

    network: nn.Module
    input_shape: tuple[int, ...]
    code: Definition | NarrowedOriginal


def writable(network: nn.Module, unpruned: nn.Module, source: str, images: torch.Tensor) -> Writable:
    """Return the network with code of its own, or, where that cannot be had, with the factory it comes from.

    Args:
        network: In eval mode, on any device; it stays as it is.
        unpruned: What the factory makes.
        source: The unpruned network's name or import target.
        images: A few that the code is tried on.

    Raises:
        ConfigError: There is neither.
    """
    own = on_cpu(network)
    few = images.cpu().contiguous()
    shape = tuple(few.shape[1:])
    try:
        code: Definition | NarrowedOriginal = definition_of(own, few, f"A network pruned from {source}.")
    except NotDefinable as error:
        if ":" not in source:
            raise ConfigError(f"export: the network {source!r} cannot be written down: {error}") from error
        code = NarrowedOriginal(source, narrowed_layers(unpruned, network), str(error), _place(source))
        _log.warning("export: %s; safetensors can only be loaded where %s can be imported", error, source)
    return Writable(own, shape, code)


def on_cpu(network: nn.Module) -> nn.Module:
    """Return the network with copies of its tensors in CPU memory, in the order of their axes."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return with_tensors(network, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def _place(target: str) -> Path | None:
    find("network", target)  # imports it, if nothing has
    name = target.partition(":")[0]
    file = sys.modules[name].__file__
    if file is None:  # a namespace package, which lies in no single place
        return None
    path = Path(file).resolve()
    return path.parents[name.count(".") + (path.stem == "__init__")]
