"""What a reference method of shares of attention may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.top_p.layout import TopPLayout
from emoprune.space import Space

__all__ = ["TopPInputs"]


@dataclass(frozen=True, slots=True, eq=False)
class TopPInputs:
    """What genes of attention mean.

    Attributes:
        layout: From levels to genomes.
        rng: Where all randomness comes from.
    """

    layout: TopPLayout
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """The genes."""
        return self.layout.space
