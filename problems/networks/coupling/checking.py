"""Whether slicing a coupling group does what it means: the sliced network's outputs against the masked one's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.following.comparing import first_difference
from emoprune.problems.networks.coupling.following.places import place_of_error
from emoprune.problems.networks.coupling.masking import masked
from emoprune.problems.networks.coupling.pruned_module import clone, pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure

__all__ = ["NOT_RUNNING", "Check", "difference"]

TOLERANCE = 1e-6  # relative, in 64 bits: sums in another order stay below 1e-12, a wrong channel is of the order of 1
IMAGES = 2
NOT_RUNNING = "sliced, the network does not run"


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A network whose weights are drawn anew, so that none that happens to be zero can hide a wrong channel."""

    drawn: nn.Module
    images: torch.Tensor

    @classmethod
    def of(cls, network: nn.Module, input_shape: Sequence[int]) -> Check:
        """Draw weights and images."""
        images = torch.randn((IMAGES, *input_shape), generator=_generator(), dtype=torch.float64)
        return cls(_with_drawn_weights(network), images)

    def broken(self, structure: Structure) -> dict[str, str]:
        """Return the coupling groups that cannot be sliced, with the reason.

        All are cut at once, each to another number of other units, so that a channel that goes with the wrong ones
        shows; then some of them and the others, which shows what holds only when all are cut. Only if a round fails
        is it halved until the groups are found.
        """
        numbers = range(len(structure.groups))
        broken: dict[str, str] = {}
        for seed, cut in enumerate((list(numbers), list(numbers)[::2], list(numbers)[1::2])):
            broken |= self._among(
                [number for number in cut if structure.groups[number].name not in broken], structure, seed
            )
        return broken

    def _among(self, cut: Sequence[int], structure: Structure, seed: int) -> dict[str, str]:
        """Return which of these groups cannot be sliced, alone or at least not all together."""
        reason = self._reason(cut, structure, seed) if cut else None
        if reason is None:
            return {}
        if len(cut) == 1:
            return {structure.groups[cut[0]].name: reason}
        half = len(cut) // 2
        found = self._among(cut[:half], structure, seed) | self._among(cut[half:], structure, seed)
        left = [number for number in cut if structure.groups[number].name not in found]
        if found and self._reason(left, structure, seed) is None:
            return found
        # Without those of one half the others have been seen to work.
        late = [number for number in left if number in cut[half:]] or left
        return found | {structure.groups[number].name: f"together with others, {reason}" for number in late}

    def _reason(self, cut: Sequence[int], structure: Structure, seed: int) -> str | None:
        return _reason(self.drawn, structure, _narrowed(structure, cut, seed), self.images)


def _reason(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> str | None:
    sliced, reference = pruned_module(network, structure, kept), masked(network, structure, kept)
    with torch.no_grad():
        try:
            outputs = sliced(images)
        except Exception as error:  # a stranger's forward on shapes it was not written for may raise anything
            place = place_of_error(error)
            where = "" if place is None else f" ({place})"
            return f"{NOT_RUNNING}: {type(error).__name__}: {error}".splitlines()[0][:300] + where
        try:
            expected = reference(images)
        except Exception as error:  # it was followed before: what is masked met something that no rule is written for
            return f"it cannot be masked to be held against: {type(error).__name__}: {error}".splitlines()[0][:300]
        found = _difference(outputs, expected)
    if found <= TOLERANCE:
        return None
    first = first_difference(clone(sliced), images, reference.sums(images))
    return f"sliced, the network gives other outputs than masked, by {found:.3g} of the largest, from {first} on"


def difference(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> float:
    """Return the largest difference between the sliced and the masked network's outputs, relative to the largest."""
    with torch.no_grad():
        sliced = pruned_module(network, structure, kept)(images)
        return _difference(sliced, masked(network, structure, kept)(images))


def _difference(sliced: torch.Tensor, expected: torch.Tensor) -> float:
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
        # Two where that is fewer than all: over a single value a forward may have no variance.
        width = int(rng.integers(min(2, units - 1), units))
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
