"""What a network is trained towards: the labels, or also the outputs of the unpruned network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from emoprune.errors import ConfigError

__all__ = ["Distilled", "Labels", "Target", "check_distilling"]

AT_ONCE = 256


class Target(Protocol):
    """Says how far a batch's outputs are from what they should be."""

    def __call__(
        self, outputs: torch.Tensor, labels: torch.Tensor, batch: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss, a scalar with gradients.

        Args:
            outputs: Shape (n, classes).
            labels: Shape (n,).
            batch: The images as the network saw them.
            rows: Which images these are, shape (n,).
        """
        ...


class Labels:
    """Cross-entropy with the labels."""

    def __call__(
        self,
        outputs: torch.Tensor,
        labels: torch.Tensor,
        batch: torch.Tensor,  # noqa: ARG002  # the contract's
        rows: torch.Tensor,  # noqa: ARG002  # the contract's
    ) -> torch.Tensor:
        """Return the mean cross-entropy in nats."""
        return functional.cross_entropy(outputs, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """(1 - weight) cross-entropy + weight T² KL(teacher || network), both softened by the temperature T.

    Source: Distilling the Knowledge in a Neural Network, arXiv 1503.02531. `known` holds the teacher's outputs for all
    training images, shape (images, classes); None asks it anew for each batch, because the images are varied.
    """

    teacher: nn.Module
    known: torch.Tensor | None
    temperature: float = 4.0
    weight: float = 0.9

    def __post_init__(self) -> None:
        check_distilling(self.temperature, self.weight)

    @classmethod
    def by(
        cls, teacher: nn.Module, images: torch.Tensor, *, varied: bool, temperature: float = 4.0, weight: float = 0.9
    ) -> Distilled:
        """Return the target that a teacher in eval mode sets on images of shape (n, channels, height, width)."""
        with torch.no_grad():
            known = None if varied else torch.cat([teacher(part) for part in torch.split(images, AT_ONCE)])
        return cls(teacher, known, temperature, weight)

    def __call__(
        self, outputs: torch.Tensor, labels: torch.Tensor, batch: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean loss of the batch in nats."""
        if self.known is None:
            with torch.no_grad():
                taught = self.teacher(batch)
        else:
            taught = self.known[rows]
        soft = functional.log_softmax(taught / self.temperature, dim=1)
        own = functional.log_softmax(outputs / self.temperature, dim=1)
        divergence = functional.kl_div(own, soft, reduction="batchmean", log_target=True)
        on_labels = functional.cross_entropy(outputs, labels)
        return (1 - self.weight) * on_labels + self.weight * self.temperature**2 * divergence


def check_distilling(temperature: float, weight: float) -> None:
    """Refuse a temperature or a share of the loss that cannot be.

    Raises:
        ConfigError: One of them is out of range.
    """
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"temperature: expected a number above 0, found {temperature}")
    if not 0 <= weight <= 1:
        raise ConfigError(f"weight: expected the teacher's share, from 0 to 1, found {weight}")
