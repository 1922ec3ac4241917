"""Whether slicing a coupling group does what it means: the sliced network's outputs against the masked one's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.masking import masked
from emoprune.problems.networks.coupling.realising import realised
from emoprune.problems.networks.coupling.structure import Kept, Structure

__all__ = ["broken_groups", "difference"]

TOLERANCE = 1e-6  # relative, in 64 bits: sums in another order stay below 1e-12, a wrong channel is of the order of 1
IMAGES = 2


def broken_groups(network: nn.Module, structure: Structure) -> dict[str, str]:
    """Return the coupling groups that cannot be sliced, with the reason: each alone, then all that passed together.

    The weights are drawn anew, so that no weight that happens to be zero can hide a wrong channel.
    """
    drawn = _with_drawn_weights(network)
    images = torch.randn((IMAGES, *structure.input_shape), generator=_generator(), dtype=torch.float64)
    broken = {}
    for number, group in enumerate(structure.groups):
        reason = _reason(drawn, structure, _halved(structure, [number]), images)
        if reason:
            broken[group.name] = reason
    sound = [number for number, group in enumerate(structure.groups) if group.name not in broken]
    reason = _reason(drawn, structure, _halved(structure, sound), images)
    if reason:
        broken |= {structure.groups[number].name: f"only together with others: {reason}" for number in sound}
    return broken


def _reason(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> str | None:
    try:
        found = difference(network, structure, kept, images)
    except Exception as error:  # a stranger's forward on shapes it was not written for may raise anything
        return f"sliced, the network does not run: {type(error).__name__}: {error}".splitlines()[0][:300]
    if found <= TOLERANCE:
        return None
    return f"sliced, the network gives other outputs than masked, by {found:.3g} of the largest"


def difference(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> float:
    """Return the largest difference between the sliced and the masked network's outputs, relative to the largest."""
    with torch.no_grad():
        sliced = realised(network, structure, kept)(images)
        expected = masked(network, structure, kept)(images)
    if sliced.shape != expected.shape:
        return float("inf")
    largest = max(float(expected.abs().max()), 1e-30)
    found = float((sliced - expected).abs().max()) / largest
    return found if np.isfinite(found) else float("inf")


def _halved(structure: Structure, numbers: Sequence[int]) -> Kept:
    """Return every second unit of some groups, give or take a seeded draw, and all units of the others."""
    rng = np.random.default_rng(17)
    kept = [np.arange(group.units) for group in structure.groups]
    for number in numbers:
        units = structure.groups[number].units
        kept[number] = np.sort(rng.choice(units, size=max(1, units // 2), replace=False))
    return kept


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(23)


def _with_drawn_weights(network: nn.Module) -> nn.Module:
    """Return a copy of the network in 64 bits whose weights and statistics are drawn from a fixed seed."""
    import copy

    drawn, generator = copy.deepcopy(network).double().eval(), _generator()
    with torch.no_grad():
        for parameter in drawn.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5)
        for name, statistic in drawn.named_buffers():
            if name.endswith("running_mean"):
                statistic.copy_(torch.randn(statistic.shape, generator=generator, dtype=torch.float64))
            elif name.endswith("running_var"):
                statistic.copy_(0.5 + torch.rand(statistic.shape, generator=generator, dtype=torch.float64))
    return drawn
