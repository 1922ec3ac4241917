"""Whether slicing a coupling group does what it means: the sliced network's outputs against the masked one's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.masking import masked
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure

__all__ = ["NOT_RUNNING", "broken_groups", "difference"]

TOLERANCE = 1e-6  # relative, in 64 bits: sums in another order stay below 1e-12, a wrong channel is of the order of 1
IMAGES = 2
NOT_RUNNING = "sliced, the network does not run"


def broken_groups(network: nn.Module, structure: Structure) -> dict[str, str]:
    """Return the coupling groups that cannot be sliced, with the reason.

    The weights are drawn anew, so that no weight that happens to be zero can hide a wrong channel. Groups are cut many
    at a time, in such rounds that of any two there is one in which only the first is cut and one in which only the
    second is; only if a round fails is each of them tried alone.
    """
    if not structure.groups:
        return {}
    drawn = _with_drawn_weights(network)
    images = torch.randn((IMAGES, *structure.input_shape), generator=_generator(), dtype=torch.float64)
    for number, cut in enumerate(_rounds(len(structure.groups))):
        reason = _reason(drawn, structure, _narrowed(structure, cut, number), images)
        if reason:
            return _each_alone(drawn, structure, images) or {
                structure.groups[group].name: f"only together with others: {reason}" for group in cut
            }
    return {}


def _rounds(groups: int) -> list[list[int]]:
    """Return which groups are cut in each round: for each binary digit of their numbers those that have it or not."""
    numbers = range(groups)
    rounds = [
        [number for number in numbers if (number >> digit) & 1 == value]
        for digit in range((groups - 1).bit_length())
        for value in (0, 1)
    ]
    return [*rounds, list(numbers)]


def _each_alone(drawn: nn.Module, structure: Structure, images: torch.Tensor) -> dict[str, str]:
    """Return the groups that cannot be sliced alone, or else those that cannot be together with the others."""
    broken = {}
    for number, group in enumerate(structure.groups):
        reason = _reason(drawn, structure, _narrowed(structure, [number], number), images)
        if reason:
            broken[group.name] = reason
    sound = [number for number, group in enumerate(structure.groups) if group.name not in broken]
    reason = _reason(drawn, structure, _narrowed(structure, sound, 0), images)
    if reason:
        broken |= {structure.groups[number].name: f"only together with others: {reason}" for number in sound}
    return broken


def _reason(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> str | None:
    try:
        found = difference(network, structure, kept, images)
    except Exception as error:  # a stranger's forward on shapes it was not written for may raise anything
        return f"{NOT_RUNNING}: {type(error).__name__}: {error}".splitlines()[0][:300]
    if found <= TOLERANCE:
        return None
    return f"sliced, the network gives other outputs than masked, by {found:.3g} of the largest"


def difference(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> float:
    """Return the largest difference between the sliced and the masked network's outputs, relative to the largest."""
    with torch.no_grad():
        sliced = pruned_module(network, structure, kept)(images)
        expected = masked(network, structure, kept)(images)
    if sliced.shape != expected.shape:
        return float("inf")
    largest = max(float(expected.abs().max()), 1e-30)
    found = float((sliced - expected).abs().max()) / largest
    return found if np.isfinite(found) else float("inf")


def _narrowed(structure: Structure, numbers: Sequence[int], seed: int) -> Kept:
    """Return some units of some groups, of each another number, and all units of the others."""
    rng = np.random.default_rng([17, seed])
    kept = [np.arange(group.units) for group in structure.groups]
    for number in numbers:
        units = structure.groups[number].units
        width = int(rng.integers(1, units))
        kept[number] = np.sort(rng.choice(units, size=width, replace=False))
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
