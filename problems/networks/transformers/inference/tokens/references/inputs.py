"""What a reference method of tokens may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.tokens.layout import TokenLayout
from emoprune.space import Space

__all__ = ["TokenInputs"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenInputs:
    """What genes of tokens mean.

    Attributes:
        layout: From layers, shares and selectors to genomes.
        rng: Where all randomness comes from.
    """

    layout: TokenLayout
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """The genes."""
        return self.layout.space
