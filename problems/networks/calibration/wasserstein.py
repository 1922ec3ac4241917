"""Regression by optimal transport: what a sample should say is mixed with what samples near it say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["EntropicRegression", "transport"]

SWEEPS = 50


def transport(costs: torch.Tensor, entropy: float) -> torch.Tensor:
    """Return the entropic transport plan between uniform marginals, shape (n, n), which sums to 1.

    Args:
        costs: Shape (n, n).
        entropy: How even the plan is, in shares of the mean cost; 0 is the plan that keeps each to itself, infinity the
            one that mixes all alike.
    """
    count, scale = len(costs), float(costs.mean())
    if entropy == 0:
        return torch.eye(count, dtype=costs.dtype) / count
    if math.isinf(entropy) or scale <= 0:
        return torch.full_like(costs, 1 / count**2)
    kernel = -costs / (entropy * scale)
    rows, columns = torch.zeros(count, dtype=costs.dtype), torch.zeros(count, dtype=costs.dtype)
    for _ in range(SWEEPS):
        rows = -torch.logsumexp(kernel + columns, dim=1) - math.log(count)
        columns = -torch.logsumexp(kernel + rows.unsqueeze(1), dim=0) - math.log(count)
    return torch.exp(kernel + rows.unsqueeze(1) + columns)


@dataclass(frozen=True, slots=True, eq=False)
class EntropicRegression:
    """Sparse entropic Wasserstein regression of a layer's weights on the gradients of single samples.

    It minimises n/2 sum_ij P_ij (g_i w0 - g_j w)^2 + n damping/2 |w - w0|^2 with the plan P, which is linear regression
    where P keeps each sample to itself. Source: SWAP: Sparse Entropic Wasserstein Regression for Robust Network
    Pruning, arXiv 2310.04918; the gradient is that of this objective, not the expression in the released code.

    Attributes:
        gradients: g, of the loss on some samples, shape (n, weights), in 64 bits.
        weight: w0, as it was, shape (weights,).
        entropy: As `transport` has it.
        damping: How near weights stay to what they were.
    """

    gradients: torch.Tensor
    weight: torch.Tensor
    entropy: float
    damping: float

    def plan(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the plan at some weights."""
        return transport(self._costs(weight), self.entropy)

    def _costs(self, weight: torch.Tensor) -> torch.Tensor:
        wanted, found = self.gradients @ self.weight, self.gradients @ weight
        return (wanted.unsqueeze(1) - found).square()

    def loss(self, weight: torch.Tensor, plan: torch.Tensor) -> float:
        """Return the objective at some weights, with a plan that is held fixed."""
        count = len(self.gradients)
        apart = float((plan * self._costs(weight)).sum()) + self.damping * float((weight - self.weight).square().sum())
        return count / 2 * apart

    def gradient(self, weight: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the objective at some weights, with a plan that is held fixed."""
        count = len(self.gradients)
        off = self.gradients @ weight - count * plan.T @ (self.gradients @ self.weight)
        return self.gradients.T @ off + count * self.damping * (weight - self.weight)

    def moved(self, weight: torch.Tensor, staying: torch.Tensor, steps: int) -> torch.Tensor:
        """Return weights after exact steps along the gradient of those that stay, the plan taken anew before each.

        Args:
            weight: Where to begin, zero where it does not stay.
            staying: Which weights may move.
            steps: How many.
        """
        now = weight.clone()
        for _ in range(steps):
            slope = self.gradient(now, self.plan(now)) * staying
            image, size = self.gradients @ slope, slope.square().sum()
            bend = image.square().sum() + len(self.gradients) * self.damping * size
            if float(bend) <= 0:
                break
            now = now - size / bend * slope
        return now
