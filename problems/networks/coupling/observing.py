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
    """One module as it ran on one image: when, and the shapes that it put out and took in each time."""

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
        ConfigError: It cannot be run, does not return classes, or what it returns for an image is not that image's.
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
    _check_apart(network, image)
    return Observed(ran, output.shape[1])


APART = 1e-3  # of the largest output: another order of sums in 32 bits stays far below


def _check_apart(network: nn.Module, image: torch.Tensor) -> None:
    """Refuse a network whose outputs for an image are chance, or depend on the images beside it."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn((3, *image.shape[1:]), generator=generator).to(image.dtype)
    with torch.no_grad():
        try:
            together, again = network(images), network(images)
            alone = torch.cat([network(images[number : number + 1]) for number in range(len(images))])
        except Exception as error:  # as above
            raise ConfigError(
                f"network: it runs on one image, but not on three: {type(error).__name__}: {error}; the number of "
                "images seems to be written into its forward: take it from the tensor, as x.shape[0] does"
            ) from error
    largest = max(float(together.abs().max()), 1e-30)
    if float((together - again).abs().max()) > APART * largest:
        raise ConfigError(
            "network: in eval mode it gives other outputs each time it runs, so that no score of it can be trusted; "
            "let nothing in its forward be drawn, such as a dropout with training=True"
        )
    if together.shape != alone.shape or float((together - alone).abs().max()) > APART * largest:
        raise ConfigError(
            "network: in eval mode its outputs for an image depend on the images beside it, so that no score of it can "
            "be trusted; compute nothing over the batch axis, such as x.mean() or a batch norm without running "
            "statistics"
        )


def _noting(path: str, ran: dict[str, Ran]) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def hook(_module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        own = ran.setdefault(path, Ran(len(ran), [], []))
        own.shapes.append(_shape(output))
        own.taken.append(_shape(arguments[0] if arguments else None))

    return hook


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()
