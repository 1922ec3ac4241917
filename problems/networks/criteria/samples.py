"""What criteria are tried on: a small network with structure and images, and the same with its units reordered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.pruned_module import tensors_of, with_tensors
from emoprune.problems.networks.coupling.structure import Part, Structure, Wiring
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.space import IntArray

__all__ = ["permuted", "sample_evidences"]

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


def permuted(network: nn.Module, structure: Structure, orders: Sequence[IntArray]) -> nn.Module:
    """Return a clone of `network` in which unit i of each coupling group is what unit `order[i]` was.

    `orders` holds one permutation per coupling group, shape (units,). Clones share what has no channels.
    """
    moved = {}
    for part in structure.parts:
        for name, tensor in tensors_of(network, part).items():
            moved[name] = _permuted(tensor.detach(), part, orders)
    return with_tensors(network, moved)


def _permuted(tensor: torch.Tensor, part: Part, orders: Sequence[IntArray]) -> torch.Tensor:
    outgoing, incoming = (_sources(wiring, orders) for wiring in (part.outgoing, part.incoming))
    if not (part.weighted and tensor.ndim > 1):
        return tensor if outgoing is None else tensor.index_select(part.dimension, outgoing)
    out_axis = 1 if part.kind.startswith("ConvTranspose") else 0
    moved = tensor if outgoing is None else tensor.index_select(out_axis, outgoing)
    if incoming is None or part.depthwise:
        return moved
    # A unit has one place in every convolution group, the same in all: the first group's order is that of all.
    return moved.index_select(1 - out_axis, incoming[: len(incoming) // part.conv_groups])


def _sources(wiring: Wiring | None, orders: Sequence[IntArray]) -> torch.Tensor | None:
    """Return from which place the channel at each place comes: a unit's channels stay in their order."""
    if wiring is None:
        return None
    sources = np.arange(len(wiring))
    for group, order in enumerate(orders):
        own = np.flatnonzero(wiring.groups == group)
        if len(own):
            by_unit = own[np.argsort(wiring.units[own], kind="stable")].reshape(len(order), -1)
            sources[by_unit] = by_unit[order]
    return torch.from_numpy(sources)
