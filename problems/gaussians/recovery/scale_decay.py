"""Training of opacities and sizes, with or without a price on the tiles that a Gaussian touches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.gaussians.criteria.efficiency import METASAPIENS
from emoprune.problems.gaussians.drawing import tiles_touched
from emoprune.problems.gaussians.recovery.contract import Case
from emoprune.problems.gaussians.scene import Tensors, seen

__all__ = ["Finetune", "ScaleDecay"]

TRAINED = ("logs", "opacities")  # what every renderer reads alike, in images and in scenes
FREE = 4  # tiles that cost nothing


def _trained(case: Case, rate: float, weight: float) -> Tensors:
    tensors = {name: own.detach().clone() for name, own in case.tensors.items()}
    for name in TRAINED:
        tensors[name].requires_grad_(True)
    optimiser = torch.optim.Adam([tensors[name] for name in TRAINED], lr=rate)
    for _ in range(case.steps):
        optimiser.zero_grad()
        colours, target = seen(case.scene, tensors, "fit")
        loss = torch.mean(torch.square(colours - target)) + weight * _price(case, tensors)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        optimiser.step()
    return {name: own.detach() for name, own in tensors.items()}


def _price(case: Case, tensors: Tensors) -> Tensor:
    """Return the mean over Gaussians and views of the largest deviation times the tiles beyond those that are free."""
    sizes = torch.exp(tensors["logs"]).amax(dim=1)
    found = torch.zeros(())
    for view in case.scene.views["fit"]:
        flat = case.scene.flat(tensors, view)
        beyond = torch.clamp(tiles_touched(flat, view.rows, view.columns) - FREE, min=0)
        found = found + (sizes[flat.order] * beyond).sum() / len(sizes)
    return found / len(case.scene.views["fit"])


@about(
    "recovery",
    ["gaussians"],
    serves=["gaussians"],
    cost="training on the pictures that were fitted to",
    papers=[METASAPIENS],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class ScaleDecay:
    """Train opacities and sizes, where a Gaussian that touches more than four tiles pays for its size.

    Args:
        rate: Of Adam.
        weight: Of the price against the squared error.

    Raises:
        ConfigError: One of them is not above zero.
    """

    rate: float = 0.02
    weight: float = 1e-4

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.weight <= 0:
            raise ConfigError(f"scale-decay: expected a rate and a weight above 0, found {self.rate} and {self.weight}")

    def __call__(self, case: Case) -> Tensors:
        """Return the trained Gaussians."""
        return _trained(case, self.rate, self.weight)


@about(
    "recovery",
    ["gaussians"],
    serves=["gaussians"],
    cost="training on the pictures that were fitted to",
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class Finetune:
    """Train opacities and sizes by the squared error alone.

    Args:
        rate: Of Adam.

    Raises:
        ConfigError: It is not above zero.
    """

    rate: float = 0.02

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ConfigError(f"finetune: expected a rate above 0, found {self.rate}")

    def __call__(self, case: Case) -> Tensors:
        """Return the trained Gaussians."""
        return _trained(case, self.rate, 0.0)
