"""How long and how fast a network is trained after pruning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emoprune.errors import ConfigError

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is trained: the learning rate rises for a share of all steps and falls to zero along a half cosine.

    The rate depends on the share of the steps that is done, so a longer plan is the same schedule, stretched. `epochs`
    may be a fraction; `clip` bounds the norm of each step's gradient; `flips` and `shift` vary the images as in
    `augmentation.augmented`. Source of the cosine: SGDR, arXiv 1608.03983.
    """

    epochs: float
    peak_rate: float = 0.02
    batch: int = 64
    weight_decay: float = 5e-4
    warm_up: float = 0.1
    clip: float = 5.0
    flips: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "peak_rate", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name}: expected a number above 0, found {value}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay: expected 0 or a positive number, found {self.weight_decay}")
        if not 0 <= self.warm_up < 1:
            raise ConfigError(f"warm_up: expected a share of the steps from 0 to below 1, found {self.warm_up}")
        if self.batch < 2:
            raise ConfigError(f"batch: expected at least 2 images, found {self.batch}; batch norm needs them")
        if self.shift < 0:
            raise ConfigError(f"shift: expected 0 or more pixels, found {self.shift}")

    def batches(self, images: int) -> int:
        """Return into how many batches of nearly equal size so many images go: a last one of 1 breaks batch norm."""
        return max(1, round(images / self.batch))

    def steps(self, images: int) -> int:
        """Return how many steps the plan takes on so many images, at least one."""
        return max(1, round(self.epochs * self.batches(images)))

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of one of `steps` steps, counted from 0."""
        rising = self.warm_up * steps
        if step + 1 < rising:
            return self.peak_rate * (step + 1) / rising
        return (
            self.peak_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
            if step > rising
            else self.peak_rate
        )
