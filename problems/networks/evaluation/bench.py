"""A network and its data on a device, loaded once and used by every candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.evaluation.blocks import ImageBlocks
from emoprune.problems.networks.evaluation.layout import laid_out, layout_of, placed
from emoprune.problems.networks.evaluation.scoring import SCORED_AT_ONCE, LoadedImages, calibration_images
from emoprune.problems.networks.unpruned.by_name import network_named
from emoprune.problems.storage.arrays import Weights
from emoprune.records import Split

__all__ = ["Bench", "unpruned_network"]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """The unpruned network in eval mode on its device, its structure, and images loaded once.

    `blocks` say how the images of each part are dealt out to blocks where scores are measured so; empty elsewhere.
    `calibration` holds labelled images of the training part: for batch-norm statistics, criteria and repairs. All
    images, and the kernels, lie in memory as `layout` says.
    """

    network: nn.Module
    structure: Structure
    calibration: LoadedImages
    images: Mapping[Split, LoadedImages]
    device: str
    layout: torch.memory_format = torch.channels_last
    blocks: Mapping[Split, ImageBlocks] = field(default_factory=dict)

    def batches(self, split: Split, piece: int | None = None) -> tuple[torch.Tensor, ...]:
        """Return the images of a part, or of one piece of its blocks, in batches."""
        batches = self.images[split].batches
        if piece is None:
            return batches
        rows = torch.from_numpy(self.blocks[split].rows(piece)).to(batches[0].device)
        ends = np.cumsum([len(batch) for batch in batches]).tolist()
        picked = [
            batch[rows[(rows >= end - len(batch)) & (rows < end)] - (end - len(batch))]
            for batch, end in zip(batches, ends, strict=True)
        ]
        return torch.split(laid_out(torch.cat(picked), self.layout), SCORED_AT_ONCE)

    @classmethod
    def load(
        cls,
        network: nn.Module,
        structure: Structure,
        data: ImageData,
        calibrating: int,
        device: str,
    ) -> Bench:
        """Copy the network and the images to `device`."""
        layout = layout_of(network, torch.tensor(data.train.images[:2]))
        return cls(
            placed(network, device, layout),
            structure,
            calibration_images(data.train, calibrating, device, layout),
            {split: LoadedImages.load(data.part(split), device, layout) for split in Split},
            device,
            layout,
        )


def unpruned_network(name: str, weights: Weights) -> nn.Module:
    """Return a new network of that name with these weights, in eval mode, its parameters without gradients."""
    with seeded(0):
        network = network_named(name)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return network.eval().requires_grad_(requires_grad=False)
