"""What a method may look at to pick rules, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.contracts import Found, ReferenceMethod
from emoprune.problems.rules.genes import RuleGenes
from emoprune.space import IntArray, Space

__all__ = ["ReferenceInputs", "RuleReference"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """All rules, and what the genes mean.

    Attributes:
        genes: From rules to genomes and back; it knows all rules.
        improvement: What an exception must add to a confidence, as the config has it.
        confidence: What a rule's confidence must be, as the config has it.
        rng: All randomness of the method.
    """

    genes: RuleGenes
    improvement: float
    confidence: float
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space

    def pruned(self, improvement: float, confidence: float) -> IntArray:
        """Return the genome of what is left of all rules at two thresholds, 0 for none."""
        return self.genes.encoded(self.genes.pruned(improvement, confidence))


class RuleReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks rules without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes."""
        ...
