"""The scores of a network's weights, and what is measured for them on the calibration images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Saliency
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.weight_gradients import gradients_of_weights
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer, needs_of, scores_of

__all__ = ["network_scores", "weight_gradients"]

Tensors = dict[str, torch.Tensor]

SAMPLES = 64  # whose gradients are known one by one, each of its own images
MOST = 2**30  # bytes of them


def network_scores(saliency: Saliency[ScoredLayer, torch.Tensor], evidence: Evidence) -> Tensors:
    """Return one score per weight of every convolution and linear layer by path, in the weight's shape, 32 bits.

    Raises:
        ContractError: The saliency looks at what it does not ask for, or returns another shape.
    """
    measure: dict[Need, Callable[[Evidence], Tensors]] = {
        "norms": _norms,
        "gradient": weight_gradients,
        "sample_gradients": _sample_gradients,
    }
    measured = {need: measure[need](evidence) for need in needs_of(saliency)}
    generator = torch.Generator().manual_seed(evidence.seed)  # one for all layers, drawn from in their order
    found = {}
    for part in evidence.structure.weighted:
        weight = evidence.network.get_parameter(f"{part.path}.weight").detach().cpu()
        own = {need: by_path[part.path] for need, by_path in measured.items()}
        found[part.path] = scores_of(saliency, ScoredLayer(part.path, weight, generator, own))
    return found


def weight_gradients(evidence: Evidence) -> Tensors:
    """Return the gradient of the mean loss of the calibration images by layer, in the weight's shape, in eval mode."""
    network = copy.deepcopy(evidence.network).requires_grad_(requires_grad=True).eval()
    start, images = 0, len(evidence.calibration.labels)
    for batch in evidence.calibration.batches:
        labels = evidence.calibration.labels[start : start + len(batch)]
        start += len(batch)
        torch.autograd.backward(nn.functional.cross_entropy(network(batch), labels, reduction="sum") / images)
    found = {}
    for part in evidence.structure.weighted:
        weight = network.get_parameter(f"{part.path}.weight")
        # A layer that no output depends on gets no gradient at all.
        found[part.path] = torch.zeros_like(weight) if weight.grad is None else weight.grad.detach()
    return {path: gradient.cpu() for path, gradient in found.items()}


def _sample_gradients(evidence: Evidence) -> Tensors:
    """Return by layer the gradients of some samples, shape (samples, *weight's shape).

    Raises:
        ConfigError: They would take more than a GiB.
    """
    parts = evidence.structure.weighted
    wanted = 4 * SAMPLES * sum(evidence.network.get_parameter(f"{part.path}.weight").numel() for part in parts)
    if wanted > MOST:
        raise ConfigError(
            f"saliency: gradients of {SAMPLES} samples would take {wanted / 2**20:,.0f} MiB of this network, expected "
            f"at most {MOST // 2**20:,}; take magnitude, input-scaled or taylor"
        )
    found = gradients_of_weights(evidence, parts, SAMPLES)
    return {part.path: torch.from_numpy(np.asarray(own)) for part, own in found}


def _norms(evidence: Evidence) -> Tensors:
    """Return by layer the L2 norm of the channel that each weight reads, in a shape that multiplies the weight."""
    squares: Tensors = {}

    def reading(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            values = arguments[0].detach().double().square()
            axis = values.ndim - 1 if isinstance(module, nn.Linear) else 1
            own = values.sum(dim=[dimension for dimension in range(values.ndim) if dimension != axis])
            squares[path] = squares.get(path, torch.zeros_like(own)) + own

        return hook

    parts = evidence.structure.weighted
    handles = [
        evidence.network.get_submodule(part.path).register_forward_pre_hook(reading(part.path)) for part in parts
    ]
    try:
        with torch.no_grad():
            for batch in evidence.calibration.batches:
                evidence.network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {
        part.path: _read(evidence.network.get_submodule(part.path), part.conv_groups, squares[part.path].sqrt().cpu())
        for part in parts
    }


def _read(module: nn.Module, conv_groups: int, norms: torch.Tensor) -> torch.Tensor:
    shape = tuple(getattr(module, "weight").shape)  # noqa: B009  # of a convolution or linear layer, which have one
    others = [1] * (len(shape) - 2)
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return norms.view(-1, 1, *others)
    # Filter o reads the channels of its own convolution group.
    read = norms.view(conv_groups, -1).repeat_interleave(shape[0] // conv_groups, dim=0)
    return read.view(shape[0], -1, *others)
