"""What a method may look at to pick pruned reservoirs, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.contracts import Found, ReferenceMethod
from emoprune.problems.reservoir.genes import ReservoirGenes
from emoprune.space import Space

__all__ = ["ReferenceInputs", "ReservoirReference"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A reservoir with its rankings.

    Attributes:
        genes: What genomes mean; it knows the rankings.
        rng: All randomness of the method.
    """

    genes: ReservoirGenes
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space


class ReservoirReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks pruned reservoirs without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes."""
        ...
