"""What users name by an import target: networks and data of their own, sound and broken."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from emoprune.errors import ConfigError
from emoprune.problems.networks.criteria.ranking import kept_units

Pairs = tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

NUMBER = 3


def pairs() -> Pairs:
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(80, 1, 4, 4)).astype(np.float32))
    labels = torch.arange(80) % 2
    return (images[:60], labels[:60]), (images[60:], labels[60:])


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 2))


def leaking() -> Pairs:
    (images, labels), (_, test_labels) = pairs()
    return (images, labels), (images[:20], test_labels)


def raising() -> None:
    missing: dict[str, int] = {}
    missing["no such key"]


def raising_inside_a_library() -> None:
    torch.zeros(2, 3) @ torch.zeros(2, 3)


def raising_inside_this_domain() -> None:
    kept_units(None, 3)  # type: ignore[arg-type]  # a mistake of the user


def refusing() -> None:
    raise ConfigError("data: my own paragraph")


def needing(argument: int) -> int:
    return argument


class Breaking(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        if row == 7:
            raise OSError("image 7 is gone")
        return torch.full((1, 4, 4), float(row)), row % 2


def shuffling() -> tuple[DataLoader[tuple[torch.Tensor, ...]], DataLoader[tuple[torch.Tensor, ...]]]:
    train, test = (TensorDataset(*each) for each in pairs())
    return DataLoader(train, batch_size=8, shuffle=True), DataLoader(test, batch_size=8)


def breaking() -> tuple[DataLoader[tuple[torch.Tensor, int]], DataLoader[tuple[torch.Tensor, int]]]:
    return DataLoader(Breaking(), batch_size=4), DataLoader(Breaking(), batch_size=4)


class LeNet(nn.Module):
    """The network of the tutorials, which flattens with `view` behind a convolution.

    Args:
        channels: Of the images.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.third = nn.Linear(32, 12)
        self.last = nn.Linear(12, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.max_pool2d(torch.relu(self.first(images)), 2)
        maps = torch.max_pool2d(torch.relu(self.second(maps)), 2)
        return self.last(torch.relu(self.third(maps.view(maps.size(0), -1))))


def lenet() -> LeNet:
    return LeNet()
