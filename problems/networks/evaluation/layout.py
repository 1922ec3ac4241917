"""How images lie in memory: with their channels last where a network takes that, which is faster on most machines."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["laid_out", "layout_of", "placed"]

IMAGE = 4  # dimensions of a batch of images; torch knows channels-last for these alone


def laid_out(images: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Return images in a layout; what are no images in two dimensions are contiguous in any."""
    if images.ndim == IMAGE and layout == torch.channels_last:
        return images.contiguous(memory_format=layout)
    # Copied: images of one channel may count as contiguous and have the strides of channels-last, by which kernels go.
    return images.clone(memory_format=torch.contiguous_format)


def placed(network: nn.Module, device: str, layout: torch.memory_format) -> nn.Module:
    """Return the network on a device, its kernels in a layout."""
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs miss this form
    return network


def layout_of(network: nn.Module, images: torch.Tensor) -> torch.memory_format:
    """Return channels-last if the network, its kernels too, takes a batch of images in it, else contiguous.

    `x.view(x.size(0), -1)` behind a convolution, with which many a network flattens, takes contiguous ones alone. The
    network's kernels are in the layout afterwards.
    """
    if images.ndim != IMAGE or any(parameter.ndim > IMAGE for parameter in network.parameters()):
        return torch.contiguous_format
    device = next((str(parameter.device) for parameter in network.parameters()), str(images.device))
    try:
        with torch.no_grad():
            placed(network, device, torch.channels_last)(laid_out(images.to(device), torch.channels_last))
    except RuntimeError:  # if it is about something else, the network says it again as soon as it is measured
        placed(network, device, torch.contiguous_format)
        return torch.contiguous_format
    return torch.channels_last
