"""What a method may look at to pick rows, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.contracts import Found, ReferenceMethod
from emoprune.problems.samples.genes import SampleGenes
from emoprune.space import Space

__all__ = ["ReferenceInputs", "SampleReference"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """Training rows with their scores.

    Attributes:
        genes: What genomes mean; it knows scores and classes.
        rng: All randomness of the method.
    """

    genes: SampleGenes
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space


class SampleReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks rows without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes."""
        ...
