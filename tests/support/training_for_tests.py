"""A small network and images to train it on, and networks that cannot be used; importable by an import target."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.data.images import ImageData, LabelledImages


def part(count: int = 48) -> LabelledImages:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, count)
    images = rng.normal(size=(count, 1, 4, 4)).astype(np.float32)
    images[labels == 1, 0, 1] += 2
    return LabelledImages(images, labels)


def data(count: int = 48) -> ImageData:
    whole = part(4 * count)
    return ImageData(*(whole.rows(np.arange(start, 4 * count, 4)) for start in range(4)))


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)
    )


def one_output() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 1))


def feature_maps() -> nn.Module:
    return nn.Conv2d(1, 2, 3)


def larger_images() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(99, 2))


def two_outputs() -> nn.Module:
    class Two(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images

    return Two()


def overflowing() -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    nn.init.constant_(made[1].weight, 3e38)
    return made


def tied() -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
    made[3].weight = made[1].weight
    return made
