"""What the channels carry where they are consumed, over all calibration images: computed once for all criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.hooks import Watcher, by_place, consumers, watched
from emoprune.problems.networks.calibration.remembering import remembering_the_last
from emoprune.problems.networks.coupling.structure import Part

__all__ = ["Activations", "activations_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """By path of each consumer, per channel that it takes in, shape (channels,), over all images and places.

    A consumer whose weight is used without running it is left out. `sizes` are mean absolute values, `active` the
    shares of values that are not zero.
    """

    sizes: Mapping[str, Scores]
    active: Mapping[str, Scores]


@remembering_the_last
def activations_of(evidence: Evidence) -> Activations:
    """Return what the consumers of the coupling groups take in, batch by batch; no activation outlives its batch.

    Taken at the inputs of consumers, so that batch norm, ReLU, pooling and residual sums have happened. Summed in 64
    bits.
    """
    sums = {part.path: _Sums() for part in consumers(evidence.structure)}
    with torch.no_grad():
        for batch in evidence.calibration.batches:
            watchers = {part.path: _adding(part, sums[part.path], len(batch)) for part in consumers(evidence.structure)}
            with watched(evidence.network, watchers):
                evidence.network(batch)
    return Activations(
        MappingProxyType({path: _mean(own.sizes, own.places) for path, own in sums.items() if own.places}),
        MappingProxyType({path: _mean(own.active, own.places) for path, own in sums.items() if own.places}),
    )


@dataclass(slots=True)
class _Sums:
    sizes: torch.Tensor | float = 0.0
    active: torch.Tensor | float = 0.0
    places: int = 0


def _adding(part: Part, sums: _Sums, images: int) -> Watcher:
    def watcher(values: torch.Tensor) -> torch.Tensor:
        taken = by_place(part, values, images)
        sums.sizes = sums.sizes + taken.abs().sum(dim=(0, 1), dtype=torch.float64)
        sums.active = sums.active + taken.count_nonzero(dim=(0, 1)).double()
        sums.places += taken.shape[0] * taken.shape[1]
        return values

    return watcher


def _mean(total: torch.Tensor | float, places: int) -> Scores:
    mean: Scores = (torch.as_tensor(total, dtype=torch.float64) / max(1, places)).cpu().numpy()
    mean.setflags(write=False)  # shared by all who ask
    return mean
