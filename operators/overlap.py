"""A child that keeps what both of its parents keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.operators.options import check_share
from emoprune.space import GeneKind, IntArray, Space

__all__ = ["MaskIntersection"]


@about(
    "search",
    ["genomes"],
    cost="a comparison and a random number per gene",
    papers=[
        Paper(
            "COLT: Cyclic Overlapping Lottery Tickets for Faster Pruning of Convolutional Neural Networks", "2212.12770"
        )
    ],
)
@dataclass(frozen=True, slots=True)
class MaskIntersection:
    """Keep in one child what both parents keep, and exchange genes at random in the other.

    Of a bit or of levels the lower one is what both keep; of a category, which has no order, one parent's is taken. The
    second child keeps genomes from shrinking in every generation. Source: the overlap of masks in Hossain et al., COLT,
    arXiv 2212.12770, as a crossover.

    Args:
        rate: How probably a pair is crossed at all.
    """

    rate: float = 0.9

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)

    def __call__(self, space: Space, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """Take parents of shape (2, pairs, genes) and return children of the same shape."""
        _, pairs, _ = parents.shape
        first = rng.random(parents.shape[1:], dtype=np.float32) < 0.5
        exchanged = np.where(first, parents[0], parents[1])
        overlap = np.where(space.of_kind(GeneKind.CATEGORY), exchanged, parents.min(axis=0))
        crossed = rng.random((pairs, 1)) < self.rate
        return np.where(crossed, np.stack([overlap, exchanged]), parents)
