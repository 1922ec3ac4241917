"""What a reference method of stages may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.hierarchy.layout import HierarchyLayout
from emoprune.space import Space

__all__ = ["HierarchyInputs"]


@dataclass(frozen=True, slots=True, eq=False)
class HierarchyInputs:
    """What genes of stages mean.

    Attributes:
        layout: From levels to genomes.
        rng: Where all randomness comes from.
    """

    layout: HierarchyLayout
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """The genes."""
        return self.layout.space
