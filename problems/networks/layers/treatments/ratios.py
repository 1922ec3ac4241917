"""Unstructured pruning: of each layer a share of its weights stays, the ones with the highest scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Self

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Left, only

__all__ = ["SHARES", "WeightShares"]

PLACE = 4  # bytes
SHARES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class WeightShares:
    """Keeps a share of each layer's weights, which are numbers of `dtype`, at least one; zeroes the rest."""

    shares: tuple[float, ...] = SHARES
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, shares: Sequence[float]) -> WeightShares:
        """Return a treatment for rising shares up to 1.

        Raises:
            ConfigError: The shares do not rise from above 0 to 1.
        """
        found = tuple(shares)
        rising = all(one < next_one for one, next_one in pairwise(found))
        if len(found) < 2 or not rising or found[0] <= 0 or found[-1] != 1:
            raise ConfigError(f"shares: expected rising numbers above 0 that end with 1, found {list(found)}")
        return cls(found)

    @property
    def labels(self) -> tuple[str, ...]:
        """The shares that stay, in percent."""
        return tuple(f"{100 * share:g} %" for share in self.shares)

    def storing(self, dtype: torch.dtype) -> Self:
        """Return the same treatment of weights that are numbers of `dtype`."""
        return replace(self, dtype=dtype)

    def ranked(self, part: Part, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return each weight's place in the order in which weights stay, from 0, as 32-bit integers."""
        order = torch.argsort(scores.flatten(), descending=True, stable=True)
        places = torch.empty(len(order), dtype=torch.int32)
        places[order] = torch.arange(len(order), dtype=torch.int32)
        return places.view(scores.shape)

    def treated(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> torch.Tensor:  # noqa: ARG002
        """Return the weight with all but the best share zeroed."""
        if level == len(self.shares) - 1:
            return weight
        return only(weight, ranks < self._kept(weight.numel(), level))

    def left(self, part: Part, shape: tuple[int, ...], level: int) -> Left:  # noqa: ARG002  # the contract's
        """Return the weights that stay; stored with one bit per weight, or a 32-bit place each, or all as they are."""
        total = torch.Size(shape).numel()
        kept = self._kept(total, level)
        size = self.dtype.itemsize
        by_bit = kept * size + -(-total // 8)
        by_place = kept * (size + PLACE)
        return Left(kept, min(by_bit, by_place, total * size))

    def _kept(self, total: int, level: int) -> int:
        # As the decimal fraction that was written: 0.9 of 10 is 9, not the 10 that rounding a float up would give.
        return max(1, -int(-Fraction(str(self.shares[level])) * total // 1))
