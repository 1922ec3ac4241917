"""Bits per weight: round to the nearest of evenly spaced values, one scale for each outgoing channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Left

__all__ = ["BITS", "Rounding", "codes_and_scales"]

BITS = (2, 3, 4, 5, 6, 8, 32)
SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounds each layer's weights to b bits, symmetric about zero; 32 bits are the floats themselves.

    Floats are numbers of `dtype` where they are stored as they are.
    """

    bits: tuple[int, ...] = BITS
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, bits: Sequence[int]) -> Rounding:
        """Return a treatment for rising numbers of bits up to 32.

        Raises:
            ConfigError: The numbers do not rise from 2 or more, by at most 8 bits, to 32.
        """
        found = tuple(bits)
        small = found[:-1]
        rising = all(one < next_one for one, next_one in pairwise(found))
        if not small or found[-1] != 32 or not rising or small[0] < 2 or small[-1] > 8:
            raise ConfigError(f"bits: expected rising numbers from 2 to 8 and then 32, found {list(found)}")
        return cls(found)

    @property
    def labels(self) -> tuple[str, ...]:
        """The numbers of bits."""
        return tuple(f"{self.dtype.itemsize * 8 if bits == 32 else bits} bits" for bits in self.bits)

    def storing(self, dtype: torch.dtype) -> Self:
        """Return the same treatment of weights that are numbers of `dtype`."""
        return replace(self, dtype=dtype)

    def ranked(self, part: Part, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return nothing: rounding treats all weights of a layer alike."""
        return torch.empty(0)

    def treated(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> torch.Tensor:  # noqa: ARG002
        """Return the rounded weight as floats."""
        if self.bits[level] == 32:
            return weight
        codes, scales = codes_and_scales(part, weight, self.bits[level])
        return (codes.to(weight.dtype) * scales).to(weight.dtype)

    def left(self, part: Part, shape: tuple[int, ...], level: int) -> Left:
        """Return all weights; stored as codes of b bits and one 32-bit scale per outgoing channel, or as floats."""
        total, bits = torch.Size(shape).numel(), self.bits[level]
        coded = -(-total * bits // 8) + shape[_outgoing_axis(part)] * SCALE_BYTES
        return Left(total, min(coded, total * self.dtype.itemsize))


def codes_and_scales(part: Part, weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whole numbers from -(2^(b-1) - 1) to 2^(b-1) - 1 and the scale of each outgoing channel.

    Codes come in the weight's shape as 8-bit integers, scales in a shape that multiplies it. The largest weight of a
    channel is met exactly; a channel of zeros has scale 1.
    """
    axis, highest = _outgoing_axis(part), 2 ** (bits - 1) - 1
    others = [dimension for dimension in range(weight.ndim) if dimension != axis]
    scales = weight.abs().amax(dim=others, keepdim=True) / highest
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    codes = torch.clamp(torch.round(weight / scales), -highest, highest)
    return codes.to(torch.int8), scales


def _outgoing_axis(part: Part) -> int:
    return 1 if part.kind.startswith("ConvTranspose") else 0
