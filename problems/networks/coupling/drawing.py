"""Images and weights drawn to hold slices against masks: whatever the network's own are, a wrong channel shows."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.coupling.kinds import KNOWN

__all__ = ["drawn_images", "trains_otherwise", "with_drawn_weights"]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(23)


def drawn_images(network: nn.Module, shape: Sequence[int]) -> torch.Tensor:
    """Return images of that shape, in 64 bits unless 32 are written into the network's forward."""
    images = torch.randn(tuple(shape), generator=_generator(), dtype=torch.float64)
    return images if _runs(network, images) else images.float()


def with_drawn_weights(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy of the network with drawn weights, of as many bits as these images.

    Where its forward wants positive weights, as a root of one does, its own are varied instead.
    """
    drawn = _with_weights(network, images.dtype, _drawn)
    return drawn if _is_finite(drawn, images) else _with_weights(network, images.dtype, _varied)


def _runs(network: nn.Module, images: torch.Tensor) -> bool:
    """Whether a network runs on images of this many bits: some convert them, or make tensors of their own."""
    try:
        with torch.no_grad():
            copy.deepcopy(network).to(images.dtype).eval()(images)
    except RuntimeError:  # torch's own where tensors of several widths meet
        return False
    return True


def trains_otherwise(network: nn.Module, images: torch.Tensor) -> bool:
    """Whether a network gives classes in training mode, too, by layers that do not run in eval mode."""
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            (scored, evaluated), (given, trained) = (
                _ran(copy.deepcopy(network).train(training), images) for training in (False, True)
            )
    except Exception:  # it cannot be trained unpruned either, so that slicing takes nothing from it
        return False
    return isinstance(given, torch.Tensor) and given.shape == scored.shape and not trained <= evaluated


def _ran(network: nn.Module, images: torch.Tensor) -> tuple[Any, set[str]]:
    """Return what a network gives, and the paths of the layers with weights that ran."""
    ran: set[str] = set()
    for path, module in network.named_modules():
        if isinstance(module, KNOWN):
            module.register_forward_pre_hook(lambda *_, path=path: ran.add(path))
    return network(images), ran


def _is_finite(network: nn.Module, images: torch.Tensor) -> bool:
    with torch.no_grad():
        return bool(torch.isfinite(network(images)).all())


def _with_weights(
    network: nn.Module, bits: torch.dtype, weights: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
) -> nn.Module:
    """Return a copy of the network whose weights and statistics are made from a fixed seed."""
    made, generator = copy.deepcopy(network).to(bits).eval(), _generator()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(weights(parameter, generator))
        for name, statistic in made.named_buffers():
            if name.endswith("running_mean"):
                statistic.copy_(torch.randn(statistic.shape, generator=generator, dtype=torch.float64))
            elif name.endswith("running_var"):
                statistic.copy_(0.5 + torch.rand(statistic.shape, generator=generator, dtype=torch.float64))
    return made


def _drawn(parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
    return torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / math.sqrt(fan_in)


def _varied(parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return weights of the same signs; zeros, which could hide a wrong channel, are replaced."""
    factors = 0.5 + torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
    return torch.where(parameter == 0, factors, parameter * factors)
