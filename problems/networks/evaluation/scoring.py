"""Scoring a network on images that are loaded once and always cut into the same batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.contracts import Failure
from emoprune.errors import ContractError
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.layout import laid_out

__all__ = [
    "SCORED_AT_ONCE",
    "LoadedImages",
    "calibration_images",
    "error_of",
    "finite_outputs_of",
    "in_precision",
    "outputs_of",
]

# The size of a batch changes which kernels run and so the last bits of a result: it is fixed, never an option.
SCORED_AT_ONCE = 256
CALIBRATED_AT_ONCE = 128


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImages:
    """One part of the data on its device: batches of images, and all labels, shape (n,)."""

    batches: tuple[torch.Tensor, ...]
    labels: torch.Tensor

    @classmethod
    def load(cls, part: LabelledImages, device: str, layout: torch.memory_format = torch.channels_last) -> LoadedImages:
        """Copy a part of the data to `device`, in a layout that the network takes."""
        labels = torch.tensor(part.labels, device=device)
        return cls(torch.split(_on_device(part.images, device, layout), SCORED_AT_ONCE), labels)

    def spread(self, count: int) -> LoadedImages:
        """Return `count` of the images, evenly spread over them."""
        rows = torch.arange(count, device=self.labels.device) * len(self.labels) // count
        return LoadedImages(torch.split(torch.cat(self.batches)[rows], SCORED_AT_ONCE), self.labels[rows])


def calibration_images(
    part: LabelledImages, count: int, device: str, layout: torch.memory_format = torch.channels_last
) -> LoadedImages:
    """Return `count` images of the training part, evenly spread over it, in batches of nearly equal size.

    Neighbours go to different batches, so that data sorted by class still gives every batch all classes. Labels come in
    the order of the batches.
    """
    rows = np.arange(count) * len(part) // count
    number = -(-count // CALIBRATED_AT_ONCE)
    batches = [rows[first::number] for first in range(number)]
    labels = torch.tensor(part.labels[np.concatenate(batches)], device=device)
    return LoadedImages(tuple(_on_device(part.images[batch], device, layout) for batch in batches), labels)


def _on_device(images: NDArray[np.float32], device: str, layout: torch.memory_format) -> torch.Tensor:
    return laid_out(torch.tensor(images, device=device), layout)


def in_precision(precision: str, device: str) -> torch.autocast:
    """Return the context in which convolutions and linear layers compute in `float32` or `bfloat16`.

    Raises:
        ContractError: The precision is neither; `auto` has to be decided first.
    """
    if precision not in {"float32", "bfloat16"}:
        raise ContractError(f"precision: expected float32 or bfloat16, found {precision!r}; decide `auto` first")
    kind = torch.device(device).type
    # Without its cache of weights: they are turned once per candidate, and no candidate comes back.
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)


def outputs_of(network: nn.Module, loaded: LoadedImages, precision: str = "float32") -> torch.Tensor:
    """Return the network's outputs for every image, shape (n, classes), in 32 bits or more."""
    device = loaded.labels.device.type
    with torch.no_grad(), in_precision(precision, device):
        joined = torch.cat([network(batch) for batch in loaded.batches])
    return joined.float() if joined.dtype == torch.bfloat16 else joined


def finite_outputs_of(network: nn.Module, loaded: LoadedImages) -> torch.Tensor:
    """Return the network's outputs as `outputs_of` does.

    Raises:
        ContractError: They are not finite.
    """
    outputs = outputs_of(network, loaded)
    if not torch.isfinite(outputs).all():
        raise ContractError("the network's outputs are not finite; prune less of it or lower the learning rate")
    return outputs


def error_of(network: nn.Module, loaded: LoadedImages) -> float | Failure:
    """Return the share of images whose highest output is not their label, or why there is none."""
    outputs = outputs_of(network, loaded)
    if not torch.isfinite(outputs).all():
        return Failure("the network's outputs are not finite")
    wrong = int((outputs.argmax(dim=1) != loaded.labels).sum())
    return wrong / len(loaded.labels)
