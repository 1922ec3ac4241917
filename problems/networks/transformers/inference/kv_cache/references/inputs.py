"""What a reference method of caches may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.kv_cache.layout import CacheLayout
from emoprune.space import Space

__all__ = ["CacheInputs", "at_most"]


@dataclass(frozen=True, slots=True, eq=False)
class CacheInputs:
    """What genes of a cache mean.

    Attributes:
        layout: From shares of the context to genomes.
        rng: Where all randomness comes from.
    """

    layout: CacheLayout
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """The genes."""
        return self.layout.space


def at_most(layout: CacheLayout, percentage: float) -> float | None:
    """Return the largest share of a context, in levels of the layout, within a percentage; None where there is none."""
    within = [share for share in layout.shares if share <= percentage / 100]
    return max(within) if within else None
