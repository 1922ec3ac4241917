"""Looking at what the parts of a network take in while it runs, and leaving nothing behind in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.structure import FIXED, Part, Structure

__all__ = ["Watcher", "by_place", "consumers", "readers", "watched"]

# Sees a part's input; what it returns is what the part takes in instead.
Watcher = Callable[[torch.Tensor], torch.Tensor]


def consumers(structure: Structure) -> tuple[Part, ...]:
    """Return the convolutions and linear layers that take in channels of a coupling group, as they run."""
    return tuple(
        part for part in structure.weighted if part.incoming is not None and (part.incoming.groups != FIXED).any()
    )


def readers(structure: Structure) -> tuple[Part, ...]:
    """Return the consumers at which channels leave their coupling group.

    A depthwise convolution is not one of them: what it puts out are channels of the same units.
    """
    return tuple(part for part in consumers(structure) if not part.depthwise)


def by_place(part: Part, values: torch.Tensor, images: int) -> torch.Tensor:
    """Return the input of a part as (images, places, channels).

    Places that were folded into the batch axis belong to the images in their order, as `view` leaves them.

    Raises:
        ContractError: The batch axis is no multiple of `images`.
    """
    if len(values) % images:
        raise ContractError(
            f"layer {part.path!r}: expected the values of each of {images} images in its input, "
            f"found {len(values)} rows"
        )
    last = values if part.kind == "Linear" else values.movedim(1, -1)
    return last.reshape(images, -1, last.shape[-1])


@contextmanager
def watched(network: nn.Module, watchers: Mapping[str, Watcher]) -> Iterator[None]:
    """Let each watcher see, and replace, what the module of its path takes in, whenever it runs."""
    handles = []
    try:
        for path, watcher in watchers.items():
            module = network.get_submodule(path)
            # One at a time: an unknown path must not leave the ones before it watched.
            handles.append(module.register_forward_pre_hook(_hook(watcher), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(watcher: Watcher) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    def hook(
        _module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if arguments:
            return (watcher(arguments[0]), *arguments[1:]), named
        return (), {**named, "input": watcher(named["input"])}

    return hook
