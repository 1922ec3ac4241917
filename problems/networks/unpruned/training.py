"""Training the unpruned network once: short, on the training part alone, and the same for the same seed."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.unpruned.augmentation import augmented

__all__ = ["Schedule", "train"]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained: epochs, the highest learning rate, images per step, and what varies the images.

    `flips` mirrors half of the images, `shift` moves each by up to so many pixels; `channels_last` is the layout of
    tensors, faster for most convolutions, with other last bits.
    """

    epochs: int
    peak_rate: float = 0.1
    batch: int = 64
    weight_decay: float = 5e-4
    flips: bool = False
    shift: int = 0
    channels_last: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs: expected 0 or more, found {self.epochs}")
        if not (math.isfinite(self.peak_rate) and self.peak_rate > 0):
            raise ConfigError(f"learning rate: expected a positive number, found {self.peak_rate}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight decay: expected 0 or a positive number, found {self.weight_decay}")
        if self.batch < 2:
            raise ConfigError(f"batch: expected at least 2 images, found {self.batch}; batch norm needs them")
        if self.shift < 0:
            raise ConfigError(f"shift: expected 0 or more pixels, found {self.shift}")


def train(network: nn.Module, part: LabelledImages, schedule: Schedule | int, seed: int) -> None:
    """Train the network in place on cross-entropy: stochastic gradient descent, one rise and fall of the rate.

    Call it within `seeded` and `one_thread` to get the same weights for the same seed. Each epoch is logged to
    `emoprune` at level INFO.

    Source of the schedule: Smith and Topin, Super-Convergence, arXiv 1708.07120.

    Args:
        network: In any mode; left in eval mode if it was trained.
        part: What it is trained on.
        schedule: A number means that many epochs of the default schedule.
        seed: Fixes the order of the images and how they are varied.

    Raises:
        ConfigError: The loss is no longer finite.
    """
    plan = Schedule(schedule) if isinstance(schedule, int) else schedule
    if plan.epochs == 0:
        return
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    network.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs know no keyword of that name alone
    images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.copy())
    optimiser = torch.optim.SGD(
        network.parameters(), lr=plan.peak_rate, momentum=0.9, weight_decay=plan.weight_decay, nesterov=True
    )
    steps = plan.epochs * _steps(len(labels), plan.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.peak_rate, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    network.train()
    for epoch in range(plan.epochs):
        begun, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(labels), generator=order).tensor_split(_steps(len(labels), plan.batch)):
            batch = augmented(images[rows], flips=plan.flips, shift=plan.shift, order=order)
            loss = nn.functional.cross_entropy(network(batch.contiguous(memory_format=layout)), labels[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            rate.step()
            total += loss.item() * len(rows)
        if not math.isfinite(total):
            raise ConfigError(f"training diverged (loss {total}); give trained weights instead")
        seconds = time.perf_counter() - begun
        _log.info("epoch %d of %d: loss %.4f, %.1f s", epoch + 1, plan.epochs, total / len(labels), seconds)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as above
    network.eval()


def _steps(count: int, batch: int) -> int:
    """Return into how many batches of equal size, give or take one, images go: a last one of 1 breaks batch norm."""
    return max(1, round(count / batch))
