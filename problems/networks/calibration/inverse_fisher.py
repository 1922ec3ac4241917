"""Inverses of empirical Fisher matrices, one per block of weights, without ever building a matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ConfigError, ContractError

__all__ = ["InverseFisher", "blocked", "check_curvature", "diagonals", "jointly_moved", "separately_moved"]

FloatArray = NDArray[np.float64]

_AT_ONCE = 1 << 22  # gradients' values that are inverted at once: 32 MiB


def check_curvature(gradients: int, block: int, damping: float) -> None:
    """Refuse what no Fisher matrix can be made of.

    Raises:
        ConfigError: One of the three is not positive.
    """
    if gradients < 1 or block < 1 or not (math.isfinite(damping) and damping > 0):
        raise ConfigError(
            f"mfac: expected gradients and block of 1 or more and a positive damping, found {gradients}, {block} and "
            f"{damping}"
        )


def blocked(rows: FloatArray, size: int) -> FloatArray:
    """Return the last axis cut into blocks of nearly equal length, at most `size`, the last one filled up with 0.

    Args:
        rows: Shape (..., weights).
        size: The longest block.

    Returns:
        Shape (..., blocks, length).
    """
    weights = rows.shape[-1]
    blocks = math.ceil(weights / size)
    length = math.ceil(weights / blocks)
    padding = [(0, 0)] * (rows.ndim - 1) + [(0, blocks * length - weights)]
    return np.pad(rows, padding).reshape(*rows.shape[:-1], blocks, length)


@dataclass(frozen=True, slots=True, eq=False)
class InverseFisher:
    """(damping I + 1/m sum of g g')^-1 of the m gradients g of every block; gradients of shape (blocks, m, length).

    By the Sherman-Morrison formula, one gradient after the other.

    Source: Frantar, Kurtic and Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, arXiv
    2107.03356.
    """

    gradients: FloatArray
    damping: float
    _directions: FloatArray = field(init=False, repr=False)  # F_{i-1}^-1 g_i
    _divisors: FloatArray = field(init=False, repr=False)  # m + g_i' F_{i-1}^-1 g_i

    def __post_init__(self) -> None:
        if self.gradients.ndim != 3 or not self.damping > 0:
            raise ContractError(
                f"expected gradients of shape (blocks, m, length) and a positive damping, found shape "
                f"{self.gradients.shape} and {self.damping}"
            )
        directions = np.zeros_like(self.gradients)
        divisors = np.ones(self.gradients.shape[:2])
        count = self.gradients.shape[1]
        for i in range(count):
            gradient = self.gradients[:, i]
            before = directions[:, :i]
            shares = np.einsum("bil,bl->bi", before, gradient) / divisors[:, :i]
            directions[:, i] = gradient / self.damping - np.einsum("bi,bil->bl", shares, before)
            divisors[:, i] = count + np.einsum("bl,bl->b", gradient, directions[:, i])
        object.__setattr__(self, "_directions", directions)
        object.__setattr__(self, "_divisors", divisors)

    @property
    def diagonal(self) -> FloatArray:
        """The inverses' diagonals, shape (blocks, length)."""
        products = np.einsum("bil,bi->bl", np.square(self._directions), 1 / self._divisors)
        return np.asarray(1 / self.damping - products, dtype=np.float64)

    def times(self, vectors: FloatArray) -> FloatArray:
        """Return the inverses times one vector each, shape (blocks, length)."""
        shares = np.einsum("bil,bl->bi", self._directions, vectors) / self._divisors
        products = np.einsum("bi,bil->bl", shares, self._directions)
        return np.asarray(vectors / self.damping - products, dtype=np.float64)


def diagonals(blocks: FloatArray, damping: float) -> FloatArray:
    """Return the inverse Fisher matrices' diagonals for gradients of shape (filters, blocks, m, length).

    Shape (filters, blocks, length).
    """
    filters, per_filter, count, length = blocks.shape
    matrices = blocks.reshape(filters * per_filter, count, length)
    step = max(1, _AT_ONCE // (count * length))
    found = [InverseFisher(matrices[i : i + step], damping).diagonal for i in range(0, len(matrices), step)]
    return np.concatenate(found).reshape(filters, per_filter, length)


def jointly_moved(gradients: torch.Tensor, weights: torch.Tensor, going: torch.Tensor, damping: float) -> torch.Tensor:
    """Return weights moved to where a quadratic loss with the Fisher matrix F rises least when all `going` become 0.

    With kept weights K and removed ones R they move by F_KK^-1 F_KR w_R, solved through the m x m matrix of the
    gradients' products. What is returned for `going` means nothing.

    Args:
        gradients: Shape (..., m, length).
        weights: Shape (..., length).
        going: 1 for weights that go, 0 for those that stay; as weights.
        damping: What F has on its diagonal besides the gradients' products.
    """
    kept = gradients * (1 - going).unsqueeze(-2)
    lost = gradients @ (weights * going).unsqueeze(-1)
    return weights + (kept.transpose(-1, -2) @ _solved(kept, lost, damping)).squeeze(-1)


def separately_moved(
    gradients: torch.Tensor, weights: torch.Tensor, going: torch.Tensor, diagonal: torch.Tensor, damping: float
) -> torch.Tensor:
    """Return weights moved by the sum of what every removal alone asks for, -F^-1 (w_R / diag F^-1).

    `diagonal` is that of F^-1, in the shape of `weights`; for the rest see `jointly_moved`.
    """
    asked = weights * going / diagonal
    shadow = gradients.transpose(-1, -2) @ _solved(gradients, gradients @ asked.unsqueeze(-1), damping)
    return weights - (asked - shadow.squeeze(-1)) / damping


def _solved(gradients: torch.Tensor, sides: torch.Tensor, damping: float) -> torch.Tensor:
    """Return (m damping I + G G')^-1 times the sides: Woodbury's formula needs no larger inverse."""
    count = gradients.shape[-2]
    among = gradients @ gradients.transpose(-1, -2) + count * damping * torch.eye(count, dtype=gradients.dtype)
    return torch.cholesky_solve(sides, torch.linalg.cholesky(among))
