"""N:M sparsity: of every M weights that follow each other along the incoming channels, N stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Left, only

__all__ = ["Patterns", "incoming_axis"]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Keeps N of every M weights, N from 1 to M; 2 of 4 is what NVIDIA's sparse tensor cores run.

    The M weights stand at one place of the kernel, of one filter, in neighbouring incoming channels. Where the incoming
    channels are no multiple of M, the last few stay as they are; a layer with fewer than M stays whole at every level.
    Weights are stored as numbers of `dtype`.
    Source: Mishra et al., Accelerating Sparse Deep Neural Networks, arXiv 2104.08378.
    """

    m: int = 4
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if not 2 <= self.m <= 64:
            raise ConfigError(f"m: expected 2 to 64, found {self.m}; 4 is what hardware knows")

    @property
    def labels(self) -> tuple[str, ...]:
        """1:M to M:M."""
        return tuple(f"{n}:{self.m}" for n in range(1, self.m + 1))

    def storing(self, dtype: torch.dtype) -> Self:
        """Return the same treatment of weights that are numbers of `dtype`."""
        return replace(self, dtype=dtype)

    def ranked(self, part: Part, scores: torch.Tensor) -> torch.Tensor:
        """Return each weight's place, from 0, in the order in which the M of its pattern stay; 0 outside of them."""
        last = scores.movedim(incoming_axis(part), -1)
        blocks = self._blocks(last.shape[-1])
        ranks = torch.zeros(last.shape, dtype=torch.uint8)
        if blocks:
            inside = last[..., : blocks * self.m].reshape(*last.shape[:-1], blocks, self.m)
            order = torch.argsort(inside, dim=-1, descending=True, stable=True)
            # The inverse of a permutation is what sorts it.
            ranks[..., : blocks * self.m] = torch.argsort(order, dim=-1).flatten(-2).to(torch.uint8)
        return ranks.movedim(-1, incoming_axis(part)).contiguous()

    def treated(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> torch.Tensor:
        """Return the weight with all but the best N of every M zeroed."""
        if level == self.m - 1 or self._blocks(weight.shape[incoming_axis(part)]) == 0:
            return weight
        return only(weight, ranks <= level)

    def left(self, part: Part, shape: tuple[int, ...], level: int) -> Left:
        """Return the weights that stay; stored as values and, for each in a pattern, its place among the M."""
        total, incoming = torch.Size(shape).numel(), shape[incoming_axis(part)]
        blocks = self._blocks(incoming) * (total // incoming)
        outside = total - blocks * self.m
        patterned, size = blocks * (level + 1), self.dtype.itemsize
        if level == self.m - 1 or blocks == 0:
            return Left(total, total * size)
        places = -(-patterned * (self.m - 1).bit_length() // 8)
        return Left(patterned + outside, min((patterned + outside) * size + places, total * size))

    def _blocks(self, incoming: int) -> int:
        return incoming // self.m


def incoming_axis(part: Part) -> int:
    """Return which axis of a layer's weight its incoming channels lie along."""
    return 0 if part.kind.startswith("ConvTranspose") else 1
