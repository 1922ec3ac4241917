"""What is measured on the calibration batches for the saliencies of a transformer's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["input_moments", "input_norms", "weight_gradients"]

MOST = 2**30  # bytes of moments

Tensors = dict[str, torch.Tensor]


def input_norms(opened: Opened, levels: LayerLevels) -> Tensors:
    """Return the L2 norm of each channel that the layers read, over the calibration batches, by the layer's path."""
    squares: Tensors = {}
    model = opened.task.model
    with torch.no_grad(), _watching(model, [part.path for part in levels.parts], squares) as masks:
        for batch in opened.task.parts[CALIBRATION]:
            masks[0] = batch.mask
            opened.task.run(model, batch)
    sizes = {part.path: shape[1] for part, shape in levels.layers}
    return {
        path: squares.get(path, torch.zeros(size, dtype=torch.float64)).sqrt().float() for path, size in sizes.items()
    }


@contextmanager
def _watching(model: Any, paths: list[str], squares: Tensors) -> Iterator[list[torch.Tensor | None]]:
    masks: list[torch.Tensor | None] = [None]

    def reading(path: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(_module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            values, mask = arguments[0], masks[0]
            if mask is not None and values.ndim == 3:
                values = values[mask.bool()]
            own = values.reshape(-1, values.shape[-1]).double().square().sum(dim=0)
            squares[path] = squares[path] + own if path in squares else own

        return hook

    handles = [model.get_submodule(path).register_forward_pre_hook(reading(path)) for path in paths]
    try:
        yield masks
    finally:
        for handle in handles:
            handle.remove()


def input_moments(opened: Opened, levels: LayerLevels) -> dict[str, NDArray[np.float32]]:
    """Return by `<a layer's path>.moments` the mean outer product of what it reads, shape (1, inputs, inputs).

    Raises:
        ConfigError: They would take more than a GiB.
    """
    sizes = {part.path: shape[1] for part, shape in levels.layers}
    wanted = sum(4 * size**2 for size in sizes.values())
    if wanted > MOST:
        raise ConfigError(
            f"repair: moments of this model's layers would take {wanted / 2**20:,.0f} MiB, expected at most "
            f"{MOST // 2**20:,}; leave the widest layers out with `ignore`, or take repair: none"
        )
    sums: Tensors = {path: torch.zeros((size, size)) for path, size in sizes.items()}
    rows = dict.fromkeys(sizes, 0)
    model = opened.task.model
    masks: list[torch.Tensor | None] = [None]

    def reading(path: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(_module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            values, mask = arguments[0], masks[0]
            own = values[mask.bool()] if mask is not None and values.ndim == 3 else values
            own = own.reshape(-1, own.shape[-1]).float()
            sums[path].add_(own.T @ own)
            rows[path] += len(own)

        return hook

    handles = [model.get_submodule(path).register_forward_pre_hook(reading(path)) for path in sizes]
    try:
        with torch.no_grad():
            for batch in opened.task.parts[CALIBRATION]:
                masks[0] = batch.mask
                opened.task.run(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return {f"{path}.moments": (own / max(1, rows[path])).unsqueeze(0).numpy() for path, own in sums.items()}


def weight_gradients(opened: Opened, levels: LayerLevels) -> Tensors:
    """Return the gradients of the calibration batches' mean loss by the layers' weights, by the layer's path."""
    model, batches = opened.task.model, opened.task.parts[CALIBRATION]
    weights = [model.get_submodule(part.path).weight for part in levels.parts]
    total = [torch.zeros_like(weight) for weight in weights]
    count = sum(map(opened.task.numbers, batches))
    try:
        for weight in weights:
            weight.requires_grad_(requires_grad=True)
        for batch in batches:
            with torch.enable_grad():
                loss = opened.task.loss(model, batch) / count
                gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
            for own, gradient in zip(total, gradients, strict=True):
                own.add_(gradient)
    finally:
        for weight in weights:
            weight.requires_grad_(requires_grad=False)
    return {part.path: own for part, own in zip(levels.parts, total, strict=True)}
