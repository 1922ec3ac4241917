"""One run of a network on one image: when each layer ran, what it took in and put out, and the number of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.kinds import KNOWN

__all__ = ["Observed", "Ran", "observed"]


@dataclass(slots=True)
class Ran:
    """One module as it ran: when, how often, and the shapes that it put out and took in each time; batch left out."""

    order: int
    shapes: list[tuple[int, ...]]
    taken: list[tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The layers that ran, by path, and the number of classes."""

    ran: Mapping[str, Ran]
    classes: int

    def order(self, path: str) -> int:
        """Return when a layer ran; those that did not come last."""
        return self.ran[path].order if path in self.ran else len(self.ran)

    def times(self, path: str) -> int:
        """Return how often a layer ran."""
        return len(self.shapes(path))

    def shapes(self, path: str) -> list[tuple[int, ...]]:
        """Return the shapes that a layer put out, each time that it ran."""
        return self.ran[path].shapes if path in self.ran else []

    def taken(self, path: str) -> list[tuple[int, ...]]:
        """Return the shapes that a layer took in, each time that it ran."""
        return self.ran[path].taken if path in self.ran else []


def observed(network: nn.Module, image: torch.Tensor) -> Observed:
    """Run the network once on an image of shape (1, ...).

    Raises:
        ConfigError: It cannot be run, or does not return classes.
    """
    ran: dict[str, Ran] = {}
    handles = [
        module.register_forward_hook(_noting(path, ran))
        for path, module in network.named_modules()
        if isinstance(module, KNOWN) or not list(module.children())
    ]
    try:
        with torch.no_grad():
            output = network(image)
    except Exception as error:  # a stranger's forward may raise anything; its own error is the cause
        raise ConfigError(
            f"network: it cannot be run on one image of shape {tuple(image.shape[1:])}: {type(error).__name__}: "
            f"{error}; mend its forward, or the data's shape"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        found = (
            f"a tensor of shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
        )
        raise ConfigError(f"network: expected it to return one tensor of shape (images, classes), found {found}")
    return Observed(ran, output.shape[1])


def _noting(path: str, ran: dict[str, Ran]) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def hook(_module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        own = ran.setdefault(path, Ran(len(ran), [], []))
        own.shapes.append(_shape(output))
        own.taken.append(_shape(arguments[0] if arguments else None))

    return hook


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape[1:]) if isinstance(value, torch.Tensor) else ()
