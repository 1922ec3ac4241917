"""Second moments of what layers read, gathered over the calibration images without keeping what was read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.hooks import Watcher, watched
from emoprune.problems.networks.calibration.patches import patches, places
from emoprune.problems.networks.coupling.structure import Part

__all__ = [
    "Moments",
    "batches_of_parts",
    "channel_moments",
    "mean_squares",
    "patch_moments",
    "width_of_filters",
    "within",
]

_log = logging.getLogger("emoprune")

Moments = NDArray[np.float64]

_AT_ONCE = 1 << 27  # values of moments that are gathered in one pass through the images: 1 GiB
_ROWS = 2048  # rows turned into 64 bits at once
_Sampling = Callable[[nn.Module, torch.Tensor, int, torch.Generator], torch.Tensor]


class _Gathering:
    """The running sum of rows' outer products, each row with a constant 1 behind it."""

    def __init__(self, module: nn.Module, sampling: _Sampling, count: int, seed: int) -> None:
        self._module, self._sampling, self._count = module, sampling, count
        self._generator = torch.Generator().manual_seed(seed)
        self._sum: torch.Tensor | None = None
        self._rows = 0

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        rows = self._sampling(self._module, values.detach(), self._count, self._generator)
        for some in torch.split(rows, _ROWS, dim=1):
            padded = nn.functional.pad(some.cpu().double(), (0, 1), value=1.0)
            product = padded.transpose(1, 2) @ padded
            self._sum = product if self._sum is None else self._sum.add_(product)
        self._rows += rows.shape[1]
        return values

    @property
    def ran(self) -> bool:
        """Whether the part ran at all: a forward may take its weight without running it."""
        return self._rows > 0

    def mean(self) -> Moments:
        assert self._sum is not None  # noqa: S101  # `_moments` asks only what ran; narrows the type
        return np.asarray((self._sum / self._rows).numpy(), dtype=np.float64)


def within(parts: Sequence[Part], widths: Sequence[int], most: int, what: str) -> list[Part]:
    """Return the parts that are not wider than `most`, and log the others: their moments would not fit into memory."""
    wide = [part.path for part, width in zip(parts, widths, strict=True) if width > most]
    if wide:
        _log.warning("%s leaves %s as they are: they are wider than %d", what, ", ".join(wide), most)
    return [part for part, width in zip(parts, widths, strict=True) if width <= most]


def width_of_filters(part: Part) -> int:
    """Return how many weights one filter of the part has."""
    return len(part.incoming or ()) // part.conv_groups * part.kernel


def patch_moments(evidence: Evidence, parts: Sequence[Part], rows_per_weight: float) -> Iterator[tuple[Part, Moments]]:
    """Yield each part that runs with the mean outer product of the patches its filters read, a constant 1 behind each.

    So many places are drawn in every image that there are `rows_per_weight` rows for every weight of a filter, or all.

    Returns:
        Moments of shape (convolution groups, w + 1, w + 1) for filters of w weights, in 64 bits.
    """
    images = len(evidence.calibration.labels)
    counts = {part.path: max(1, -int(-rows_per_weight * width_of_filters(part) // images)) for part in parts}
    yield from _moments(evidence, parts, patches, counts, {part.path: width_of_filters(part) for part in parts})


def channel_moments(evidence: Evidence, parts: Sequence[Part], places_per_image: int) -> Iterator[tuple[Part, Moments]]:
    """Yield each part with the mean outer product of the channels it reads, a constant 1 behind them.

    Returns:
        Moments of shape (convolution groups, c + 1, c + 1) for c channels per convolution group, in 64 bits.
    """
    widths = {part.path: len(part.incoming or ()) // part.conv_groups for part in parts}
    yield from _moments(evidence, parts, places, dict.fromkeys(widths, places_per_image), widths)


class _Squares:
    """The running sum of squares of each channel that a part takes in."""

    def __init__(self, part: Part) -> None:
        self._axis = -1 if part.kind == "Linear" else 1
        self._sum = torch.zeros(len(part.incoming or ()), dtype=torch.float64)
        self._rows = 0

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        rows = values.detach().movedim(self._axis, -1).flatten(0, -2)
        self._sum += rows.cpu().double().square().sum(dim=0)
        self._rows += len(rows)
        return values

    def mean(self) -> Moments:
        return np.asarray((self._sum / self._rows).numpy(), dtype=np.float64)


def mean_squares(evidence: Evidence, parts: Sequence[Part]) -> Iterator[tuple[Part, Moments]]:
    """Yield each part with the mean squares of the channels it reads, over all images and places, shape (channels,)."""
    gathering = {part.path: _Squares(part) for part in parts}
    if gathering:
        _run(evidence, gathering)
    for part in parts:
        yield part, gathering[part.path].mean()


def _run(evidence: Evidence, watchers: Mapping[str, Watcher]) -> None:
    with torch.no_grad(), watched(evidence.network, watchers):
        for batch in evidence.calibration.batches:
            evidence.network(batch)


def _moments(
    evidence: Evidence, parts: Sequence[Part], sampling: _Sampling, counts: dict[str, int], widths: dict[str, int]
) -> Iterator[tuple[Part, Moments]]:
    sizes = [part.conv_groups * (widths[part.path] + 1) ** 2 for part in parts]
    for own in batches_of_parts(parts, sizes, _AT_ONCE):
        gathering = {
            part.path: _Gathering(
                evidence.network.get_submodule(part.path), sampling, counts[part.path], evidence.seed + number
            )
            for number, part in enumerate(own)
        }
        _run(evidence, gathering)
        for part in own:
            gathered = gathering.pop(part.path)
            if gathered.ran:
                yield part, gathered.mean()


def batches_of_parts(parts: Sequence[Part], sizes: Sequence[int], most: int) -> Iterator[list[Part]]:
    """Yield runs of neighbouring parts whose sizes add up to at most `most`; a larger part comes alone."""
    own: list[Part] = []
    total = 0
    for part, size in zip(parts, sizes, strict=True):
        if own and total + size > most:
            yield own
            own, total = [], 0
        own.append(part)
        total += size
    if own:
        yield own
