"""Least-squares repair of units that go in a fixed order: one factorisation serves every number of them that stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.criteria.statistics import Place, places_of
from emoprune.problems.networks.transformers.genes import Orders
from emoprune.problems.networks.transformers.repair.direct import RIDGE, kept_channels
from emoprune.space import IntArray

__all__ = ["NestedRepairer"]


@dataclass(frozen=True, slots=True, eq=False)
class _Factor:
    """Channels by importance, the lower Cholesky factor L of their Gram matrix with a ridge, and Lᵀ times the weight.

    The first k rows and columns of L factor the first k channels' matrix, and the first k rows of `half` are what is
    left of solving with them: a fit costs one triangular solve.
    """

    order: torch.Tensor
    lower: torch.Tensor
    half: torch.Tensor

    def fitted(self, count: int) -> torch.Tensor:
        """Return the fitted weight on the first `count` channels, in their rising order, shape (out, count)."""
        solved = torch.linalg.solve_triangular(self.lower[:count, :count].T, self.half[:count], upper=True)
        rising = torch.argsort(self.order[:count])
        return torch.as_tensor(solved[rising].T.contiguous())


class NestedRepairer:
    """Repairs as `Repairer` does, for plans that keep the first units of fixed orders.

    Args:
        anatomy: Where heads and neurons are.
        grams: As `grams_of` returns them; given away piece by piece, because a factor takes its place.
        weights: The unpruned output projections' weights by path.
        orders: The units of each group, the most important first.
        ridge: What is added to the diagonals, as a share of their mean.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        grams: dict[str, torch.Tensor],
        weights: Mapping[str, torch.Tensor],
        orders: Orders,
        ridge: float = RIDGE,
    ) -> None:
        self._anatomy = anatomy
        self._weights = weights
        self._factors: dict[str, _Factor] = {}
        for place in places_of(anatomy):
            if place.path in grams:
                order = _channels(place, orders[place.group])
                found = _factor(grams.pop(place.path), weights[place.path], order, ridge)
                if found is not None:
                    self._factors[place.path] = found

    def __call__(self, number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the repaired weights of a layer by their path in it; where the solver failed the sliced one stays."""
        found = {}
        for path, kept in kept_channels(self._anatomy, number, plan):
            factor = self._factors.get(f"{self._anatomy.path}.{number}.{path}")
            if factor is not None and f"{path}.weight" in tensors and len(kept):
                found[f"{path}.weight"] = factor.fitted(len(kept))
        return found


def _channels(place: Place, order: IntArray) -> torch.Tensor:
    own = order[(order >= place.start) & (order < place.start + place.units)] - place.start
    return torch.from_numpy((own[:, np.newaxis] * place.width + np.arange(place.width)).reshape(-1))


def _factor(gram: torch.Tensor, weight: torch.Tensor, order: torch.Tensor, ridge: float) -> _Factor | None:
    inner = gram[order][:, order]
    inner.diagonal().add_(ridge * gram.diagonal().mean().clamp(min=1e-12))
    lower, failed = torch.linalg.cholesky_ex(inner)
    if int(failed):
        return None
    return _Factor(order, lower, lower.T @ weight.T[order])
