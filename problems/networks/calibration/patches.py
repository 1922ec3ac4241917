"""What a layer reads: sampled rows of its input, one value per weight of a filter, as a convolution lays them out."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["patches", "places"]

_Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d


def patches(module: nn.Module, values: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return what the module's filters read at sampled places of each image.

    Args:
        module: A convolution or a linear layer.
        values: Its input, a batch.
        count: How many places of each image are drawn, without repetition; all if there are no more.
        generator: Draws the places.

    Returns:
        Shape (convolution groups, rows, input channels per group * taps), in the order of the weight's axes.
    """
    if isinstance(module, _Conv):
        return _of_convolution(module, values, count, generator)
    return _rows(values.flatten(1, -2) if values.ndim > 2 else values.unsqueeze(1), count, generator)


def places(module: nn.Module, values: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return the channels that the module reads at sampled places of its input, shape (groups, rows, channels)."""
    if isinstance(module, nn.Linear):
        return patches(module, values, count, generator)
    rows = _rows(values.flatten(2).transpose(1, 2), count, generator)
    groups = getattr(module, "groups", 1)
    return rows[0].reshape(rows.shape[1], groups, -1).transpose(0, 1)


def _rows(values: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return sampled rows of (images, places, channels) as (1, rows, channels)."""
    chosen = _chosen(len(values), values.shape[1], count, generator).to(values.device)
    images = torch.arange(len(values), device=values.device).unsqueeze(1)
    return values[images, chosen].flatten(0, 1).unsqueeze(0)


def _chosen(images: int, available: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return the places drawn in each image, shape (images, at most count)."""
    if count >= available:
        return torch.arange(available).expand(images, -1)
    return torch.rand((images, available), generator=generator).argsort(dim=1)[:, :count]


def _of_convolution(module: _Conv, values: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    # torch keeps both sides of every axis in this one attribute, also for `same` and for even kernels.
    padded = nn.functional.pad(values, module._reversed_padding_repeated_twice, mode=mode)  # noqa: SLF001  # see above
    sizes = padded.shape[2:]
    reach = [dilation * (kernel - 1) for dilation, kernel in zip(module.dilation, module.kernel_size, strict=True)]
    ends = [(size - far - 1) // stride + 1 for size, far, stride in zip(sizes, reach, module.stride, strict=True)]
    chosen = _chosen(len(values), torch.Size(ends).numel(), count, generator)
    corners = torch.unravel_index(chosen, tuple(ends))
    offsets = torch.unravel_index(torch.arange(torch.Size(module.kernel_size).numel()), tuple(module.kernel_size))
    index = torch.zeros((), dtype=torch.int64)
    for axis, size in enumerate(sizes):
        along = (corners[axis] * module.stride[axis]).unsqueeze(2) + offsets[axis] * module.dilation[axis]
        index = index * size + along
    images, channels = padded.shape[:2]
    wanted = index.flatten(1).unsqueeze(1).expand(-1, channels, -1).to(values.device)
    read = padded.flatten(2).gather(2, wanted).view(images, channels, chosen.shape[1], -1)
    rows = read.permute(0, 2, 1, 3).flatten(0, 1)
    return rows.reshape(len(rows), module.groups, -1).transpose(0, 1)
