"""How much each single weight matters: what is zeroed first when a share of a layer's weights goes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence

__all__ = ["SALIENCIES", "saliencies", "weight_gradients"]

WeightScores = dict[str, torch.Tensor]


def _weights(evidence: Evidence) -> WeightScores:
    return {part.path: evidence.network.get_parameter(f"{part.path}.weight") for part in evidence.structure.weighted}


def _magnitude(evidence: Evidence) -> WeightScores:
    return {path: weight.detach().abs() for path, weight in _weights(evidence).items()}


def _random(evidence: Evidence) -> WeightScores:
    generator = torch.Generator().manual_seed(evidence.seed)
    return {path: torch.rand(weight.shape, generator=generator) for path, weight in _weights(evidence).items()}


def _taylor(evidence: Evidence) -> WeightScores:
    """|weight x gradient| of the calibration loss: Molchanov et al., Importance Estimation, arXiv 1906.10771."""
    gradients = weight_gradients(evidence)
    return {path: (weight.detach().cpu() * gradients[path]).abs() for path, weight in _weights(evidence).items()}


def weight_gradients(evidence: Evidence) -> WeightScores:
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


def _input_scaled(evidence: Evidence) -> WeightScores:
    """|weight| x L2 norm of the channel that it reads, as in Wanda: Sun et al., arXiv 2306.11695; convolutions too."""
    norms: dict[str, torch.Tensor] = {}

    def reading(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            values = arguments[0].detach().double().square()
            axis = values.ndim - 1 if isinstance(module, nn.Linear) else 1
            squares = values.sum(dim=[dimension for dimension in range(values.ndim) if dimension != axis])
            norms[path] = norms.get(path, torch.zeros_like(squares)) + squares

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
    return {part.path: _scaled(evidence, part.path, part.conv_groups, norms[part.path].sqrt()) for part in parts}


def _scaled(evidence: Evidence, path: str, conv_groups: int, norms: torch.Tensor) -> torch.Tensor:
    module = evidence.network.get_submodule(path)
    weight = evidence.network.get_parameter(f"{path}.weight").detach()
    others = [1] * (weight.ndim - 2)
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return weight.abs() * norms.view(-1, 1, *others)
    # Filter o reads the channels of its own convolution group.
    read = norms.view(conv_groups, -1).repeat_interleave(weight.shape[0] // conv_groups, dim=0)
    return weight.abs() * read.view(weight.shape[0], -1, *others)


SALIENCIES: Mapping[str, Callable[[Evidence], WeightScores]] = MappingProxyType(
    {"magnitude": _magnitude, "input-scaled": _input_scaled, "taylor": _taylor, "random": _random}
)


def saliencies(name: str, evidence: Evidence) -> WeightScores:
    """Return one score per weight of every convolution and linear layer by path, in the weight's shape, 32 bits.

    Raises:
        ConfigError: No saliency has that name.
    """
    if name not in SALIENCIES:
        raise ConfigError(f"saliency: none is called {name!r}; expected one of {', '.join(SALIENCIES)}")
    return {path: scores.detach().float().cpu() for path, scores in SALIENCIES[name](evidence).items()}
