"""How important cached keys are, from the attention that they got. Needs torch alone.

Each class says it in two steps: `start` from the attention of a whole prompt, `follow` after each token that follows.
Scores are per query head, shape (rows, heads, keys), so that heads can be asked which keys each of them would keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Accumulated:
    """The attention that a key got from all queries so far."""

    def start(self, weights: torch.Tensor) -> torch.Tensor:
        """Return scores, shape (rows, heads, keys), from weights, shape (rows, heads, queries, keys)."""
        return weights.sum(dim=2)

    def follow(self, scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return scores after one more query with weights of shape (rows, heads, keys)."""
        return scores + weights


@dataclass(frozen=True)
class Observed:
    """The attention that a key and its neighbours got from the prompt's last queries, then from those that follow.

    `queries` are as many of the last, `pool` is how many neighbours are averaged over, itself among them.
    """

    queries: int = 16
    pool: int = 7

    def start(self, weights: torch.Tensor) -> torch.Tensor:
        """Return scores, shape (rows, heads, keys), from weights, shape (rows, heads, queries, keys)."""
        seen = weights[:, :, -self.queries :].sum(dim=2)
        return functional.avg_pool1d(seen, self.pool, stride=1, padding=self.pool // 2)

    def follow(self, scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return scores after one more query with weights of shape (rows, heads, keys)."""
        return scores + weights


@dataclass(frozen=True)
class Recent:
    """None is more important than another: of equals the newest stay."""

    def start(self, weights: torch.Tensor) -> torch.Tensor:
        """Return zeros of shape (rows, heads, keys) from weights, shape (rows, heads, queries, keys)."""
        return torch.zeros_like(weights[:, :, 0])

    def follow(self, scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # what others look at
        """Return scores as they were."""
        return scores
