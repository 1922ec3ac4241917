"""A small network, its structure and a few images to try a criterion on."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.unpruned.training import seeded

__all__ = ["sample_evidences"]

SHAPE = (1, 8, 8)
CLASSES = 4


class _Joined(nn.Module):
    """What channels can meet: a residual sum, depthwise, grouped, concatenated, flattened, with and without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.mixed = nn.Sequential(nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.grouped = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1, groups=2))
        self.beside = nn.Conv2d(6, 5, 3, stride=2, padding=1, padding_mode="reflect")
        self.joining = nn.Conv2d(13, 5, 1)
        self.hidden = nn.Linear(5 * 4 * 4, 7)
        self.head = nn.Linear(7, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the classes' scores."""
        stem = self.stem(images)
        joined = torch.relu(stem + self.mixed(self.depthwise(stem)))
        both = torch.cat([self.grouped(joined), self.beside(joined)], dim=1)
        return torch.as_tensor(self.head(torch.relu(self.hidden(torch.relu(self.joining(both)).flatten(1)))))


def sample_evidences() -> tuple[Evidence, ...]:
    """Return what a criterion can be tried on: two draws of a small network in 64 bits, and 40 images in 3 batches."""
    return tuple(_evidence(seed) for seed in (1, 2))


def _evidence(seed: int) -> Evidence:
    network, generator = _network(seed), torch.Generator().manual_seed(seed)
    images = torch.randn((40, *SHAPE), dtype=torch.float64, generator=generator)
    labels = torch.randint(CLASSES, (40,), generator=generator)
    return Evidence(network, _structure(), LoadedImages(torch.split(images, 16), labels), seed)


def _network(seed: int) -> nn.Module:
    with seeded(seed):
        network = _Joined()
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.normal_(norm.bias, std=0.3)
    return network.double().eval().requires_grad_(requires_grad=False)


@cache
def _structure() -> Structure:
    from emoprune.problems.networks.coupling.tracing import trace

    return trace(_network(0).float(), SHAPE)
