"""What a method may look at to pick Gaussians, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.contracts import Found, ReferenceMethod
from emoprune.problems.gaussians.genes import GaussianGenes
from emoprune.space import Space

__all__ = ["GaussianReference", "ReferenceInputs"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """Gaussians with their scores.

    Attributes:
        genes: What genomes mean; it knows scores and strata.
        rng: All randomness of the method.
    """

    genes: GaussianGenes
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space


class GaussianReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks Gaussians without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes."""
        ...
