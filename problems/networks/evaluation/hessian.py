"""The top eigenvalue of the loss's Hessian, by products with vectors alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from emoprune.problems.compute.device import one_thread
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["top_eigenvalue"]

Vectors = Sequence[torch.Tensor]


def top_eigenvalue(network: nn.Module, images: LoadedImages, iterations: int, tolerance: float) -> float:
    """Return the largest eigenvalue of the Hessian of the mean cross-entropy by all weights, by power iteration.

    Where the largest in size is below zero, the spectrum is shifted by it and iterated again.

    Args:
        network: In eval mode; stays as it was.
        images: On which the loss is taken.
        iterations: At most, each a pass forwards and twice backwards.
        tolerance: Ends the iteration once the eigenvalue changes by a smaller share.
    """
    own = copy.deepcopy(network).requires_grad_(requires_grad=True)
    weights = [each for each in own.parameters() if each.is_floating_point()]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(each.shape, generator=generator, dtype=torch.float64).to(each) for each in weights]

    def product(vectors: Vectors) -> Vectors:
        return _product(own, weights, images, vectors)

    with one_thread(), torch.enable_grad():
        largest = _iterated(product, start, iterations, tolerance)
        if largest >= 0:
            return largest
        shifted = _iterated(
            lambda vectors: [one - largest * other for one, other in zip(product(vectors), vectors, strict=True)],
            start,
            iterations,
            tolerance,
        )
    return shifted + largest


def _iterated(product: Callable[[Vectors], Vectors], start: Vectors, iterations: int, tolerance: float) -> float:
    vectors, value = _normed(start), 0.0
    for _ in range(iterations):
        image = product(vectors)
        new = float(sum((one.double() * other.double()).sum() for one, other in zip(vectors, image, strict=True)))
        if not any(bool(each.any()) for each in image):
            return 0.0
        vectors, before, value = _normed(image), value, new
        if abs(value - before) <= tolerance * abs(value):
            break
    return value


def _normed(vectors: Vectors) -> Vectors:
    length = torch.stack([each.double().square().sum() for each in vectors]).sum().sqrt()
    return [each / length.to(each) for each in vectors]


def _product(network: nn.Module, weights: Vectors, images: LoadedImages, vectors: Vectors) -> Vectors:
    """Return the Hessian times vectors of the weights' shapes."""
    total: list[Any] = [torch.zeros_like(each) for each in weights]
    start, count = 0, len(images.labels)
    for batch in images.batches:
        labels = images.labels[start : start + len(batch)]
        start += len(batch)
        loss = nn.functional.cross_entropy(network(batch), labels, reduction="sum") / count
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True, allow_unused=True)
        along = torch.stack([(one * other).sum() for one, other in zip(gradients, vectors, strict=True)]).sum()
        if along.requires_grad:
            second = torch.autograd.grad(along, weights, materialize_grads=True, allow_unused=True)
            total = [one + other for one, other in zip(total, second, strict=True)]
    return total
