"""What stands beside the seeds (references, a former run's front) in generation 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import about
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.options import check_reach, check_share
from emoprune.space import IntArray, Space

__all__ = ["Neighbours", "Plain"]


@about("search", ["genomes"], cost="nothing")
@dataclass(frozen=True, slots=True)
class Plain:
    """Only the seeds themselves; the rest of generation 0 is the sample."""

    def __call__(self, space: Space, seeds: IntArray, sampled: IntArray, rng: np.random.Generator) -> IntArray:
        """Return `sampled`, shape (n, genes), as it is."""
        return sampled.copy()


@about("search", ["genomes"], cost="a mutation per copy")
@dataclass(frozen=True, slots=True)
class Neighbours:
    """Replace a `share` of the sample by mutated copies of the seeds, taken in turn.

    Each gene of a copy mutates with probability `rate` (at least one does), ordered levels by at most `reach` levels;
    None is a quarter of them. So the search begins around what is known to work and still sees all sizes.
    """

    share: float = 0.5
    rate: float = 0.05
    reach: int | None = None

    def __post_init__(self) -> None:
        check_share(self, "share", self.share)
        check_share(self, "rate", self.rate)
        check_reach(self, self.reach)

    def __call__(self, space: Space, seeds: IntArray, sampled: IntArray, rng: np.random.Generator) -> IntArray:
        """Take seeds of shape (m, genes) and a sample of shape (n, genes); return n genomes, the copies first."""
        if len(seeds) == 0:
            return sampled.copy()
        copies = round(self.share * len(sampled))
        turns = seeds[np.arange(copies) % len(seeds)]
        neighbours = ByKindMutation(self.rate, self.reach, at_least_one=True)(space, turns, rng)
        return np.concatenate([neighbours, sampled[copies:]])
