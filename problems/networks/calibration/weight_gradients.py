"""Gradients of the loss on small batches of calibration images, by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters
from emoprune.problems.networks.calibration.inverse_fisher import blocked
from emoprune.problems.networks.calibration.moments import batches_of_parts
from emoprune.problems.networks.coupling.structure import Part

__all__ = ["blocks_of_gradients", "gradients_of_weights"]

_AT_ONCE = 1 << 27  # gradients' values that are gathered in one pass through the images: 512 MiB


def gradients_of_weights(
    evidence: Evidence, parts: Sequence[Part], count: int
) -> Iterator[tuple[Part, NDArray[np.floating[Any]]]]:
    """Yield each part with `count` gradients of the mean cross-entropy, each over its own images.

    The images are shuffled by the evidence's seed and cut into batches of equal size, give or take one; if there are
    fewer images than `count`, every image gives one gradient. Nothing of the network changes.

    Returns:
        Gradients of shape (count, *weight's shape), in the weights' own precision.
    """
    images, labels = torch.cat(evidence.calibration.batches), evidence.calibration.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(evidence.seed)).to(labels.device)
    batches = order.tensor_split(min(count, len(labels)))
    sizes = [len(batches) * evidence.network.get_parameter(f"{part.path}.weight").numel() for part in parts]
    for own in batches_of_parts(parts, sizes, _AT_ONCE):
        found = [_gradients(evidence.network, own, images[rows], labels[rows]) for rows in batches]
        for place, part in enumerate(own):
            yield part, np.stack([gradients[place] for gradients in found])


def _gradients(
    network: nn.Module, parts: Sequence[Part], images: torch.Tensor, labels: torch.Tensor
) -> list[NDArray[np.floating[Any]]]:
    # Fresh tensors stand in for the weights: the network's own never ask for a gradient.
    weights = {
        f"{part.path}.weight": network.get_parameter(f"{part.path}.weight").detach().clone().requires_grad_()
        for part in parts
    }
    outputs = torch.func.functional_call(network, weights, (images,))
    loss = nn.functional.cross_entropy(outputs, labels)
    found = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return [gradient.detach().cpu().contiguous().numpy() for gradient in found]


def blocks_of_gradients(part: Part, gradients: NDArray[np.floating[Any]], block: int) -> NDArray[np.float64]:
    """Return gradients of shape (m, *weight's shape) cut into blocks of at most `block` weights of one filter.

    Shape (filters, blocks, m, length), in 64 bits.
    """
    filters = [as_filters(part, torch.from_numpy(own)).flatten(0, 1).flatten(1).numpy() for own in gradients]
    return np.ascontiguousarray(np.moveaxis(blocked(np.stack(filters), block), 0, 2))
