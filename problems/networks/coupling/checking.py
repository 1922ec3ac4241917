"""Whether slicing a coupling group does what it means: the sliced network's outputs against the masked one's."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.drawing import drawn_images, trains_otherwise, with_drawn_weights
from emoprune.problems.networks.coupling.following.comparing import first_difference
from emoprune.problems.networks.coupling.following.places import place_of_error
from emoprune.problems.networks.coupling.masking import masked
from emoprune.problems.networks.coupling.pruned_module import clone, pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure

__all__ = ["NOT_RUNNING", "Check", "difference"]

# Relative: sums in another order stay below 1e-12 in 64 bits and 1e-5 in 32, a wrong channel is of the order of 1.
TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4}
IMAGES = 2
NOT_RUNNING = "sliced, the network does not run"


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A network whose weights are drawn anew, so that none that happens to be zero can hide a wrong channel."""

    drawn: nn.Module
    images: torch.Tensor
    trains: bool = False  # whether some layers run only in training, which the rest must not leave behind

    @classmethod
    def of(cls, network: nn.Module, input_shape: Sequence[int]) -> Check:
        """Draw weights and images, in 64 bits unless 32 are written into the network's forward."""
        images = drawn_images(network, (IMAGES, *input_shape))
        drawn = with_drawn_weights(network, images)
        return cls(drawn, images, trains_otherwise(drawn, images))

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
        kept = _narrowed(structure, cut, seed)
        reason = _reason(self.drawn, structure, kept, self.images)
        if reason is None and self.trains:
            return _error_of(copy.deepcopy(pruned_module(self.drawn, structure, kept)).train(), self.images)
        return reason


def _reason(network: nn.Module, structure: Structure, kept: Kept, images: torch.Tensor) -> str | None:
    sliced, reference = pruned_module(network, structure, kept), masked(network, structure, kept)
    with torch.no_grad():
        reason = _error_of(sliced, images)
        if reason is not None:
            return reason
        outputs = sliced(images)
        try:
            expected = reference(images)
        except Exception as error:  # it was followed before: what is masked met something that no rule is written for
            return f"it cannot be masked to be held against: {type(error).__name__}: {error}".splitlines()[0][:300]
        found = _difference(outputs, expected)
    if found <= TOLERANCES[images.dtype]:
        return None
    first = first_difference(clone(sliced), images, reference.sums(images))
    return f"sliced, the network gives other outputs than masked, by {found:.3g} of the largest, from {first} on"


def _error_of(sliced: nn.Module, images: torch.Tensor) -> str | None:
    """Return why a sliced network does not run, None if it does; what it draws is its own."""
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            sliced(images)
    except Exception as error:  # a stranger's forward on shapes it was not written for may raise anything
        place = place_of_error(error)
        where = "" if place is None else f" ({place})"
        mode = " in training mode" if sliced.training else ""
        return f"{NOT_RUNNING}{mode}: {type(error).__name__}: {error}".splitlines()[0][:300] + where
    return None


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
