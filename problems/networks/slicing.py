"""Real slicing: the layers and tensors of a smaller network, cut out of the unpruned one's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from emoprune.errors import ContractError
from emoprune.problems.networks.architecture import NORMALISED, WEIGHTED, Architecture, Layer, Tensors
from emoprune.space import IntArray

__all__ = ["slice_network"]


def slice_network(
    architecture: Architecture, tensors: Tensors, kept: Sequence[IntArray]
) -> tuple[tuple[Layer, ...], dict[str, torch.Tensor]]:
    """Return the layers and tensors of the network that has only the `kept` channels; every tensor is a copy.

    Args:
        architecture: The unpruned network's.
        tensors: The unpruned network's, named `<position>.<parameter>`.
        kept: For each prunable layer the rising indices of the channels that stay, shape (width,).

    Raises:
        ContractError: `kept` leaves a layer without channels, or names ones it does not have.
    """
    device = next(iter(tensors.values())).device
    stays = {
        position: _checked(architecture.layers[position], indices).to(device)
        for position, indices in zip(architecture.prunable, kept, strict=True)
    }
    flowing = torch.arange(architecture.input_shape[0], device=device)
    layers: list[Layer] = []
    sliced: dict[str, torch.Tensor] = {}
    for position, layer in enumerate(architecture.layers):
        incoming = flowing
        if layer.kind in WEIGHTED:
            flowing = stays.get(position, torch.arange(layer.widths[1], device=device))
        elif layer.kind == "Flatten":
            flowing = _flattened(flowing, architecture.features_per_channel(position))
        layers.append(_narrowed(layer, len(incoming), len(flowing)))
        sliced |= _cut(position, tensors, flowing, incoming)
    return tuple(layers), sliced


def _checked(layer: Layer, indices: IntArray) -> torch.Tensor:
    width = layer.widths[1]
    rising = indices.size == 1 or (np.diff(indices) > 0).all()
    if indices.ndim != 1 or indices.size == 0 or not rising or indices[0] < 0 or indices[-1] >= width:
        raise ContractError(
            f"layer {layer.path!r}: expected rising indices of 1 to {width} channels to keep, found {indices.tolist()}"
        )
    return torch.from_numpy(indices)


def _flattened(channels: torch.Tensor, per_channel: int) -> torch.Tensor:
    """Return the indices of the features that the channels' pixels become, channel after channel."""
    pixels = torch.arange(per_channel, device=channels.device)
    return (channels[:, None] * per_channel + pixels).flatten()


def _narrowed(layer: Layer, incoming: int, outgoing: int) -> Layer:
    return layer.with_widths(incoming, outgoing) if layer.kind in WEIGHTED | NORMALISED else layer


def _cut(position: int, tensors: Tensors, outgoing: torch.Tensor, incoming: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cut one layer's tensors: the first axis is always what goes out, the second one of a weight what comes in."""
    names = [f"{position}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    cut = {name: tensors[name].index_select(0, outgoing) for name in names if name in tensors}
    return {name: part if part.ndim == 1 else part.index_select(1, incoming) for name, part in cut.items()}
