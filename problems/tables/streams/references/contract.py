"""What a method may look at to pick policies, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.contracts import Found, ReferenceMethod
from emoprune.problems.tables.streams.genes import PolicyGenes
from emoprune.problems.tables.streams.windows import Steps
from emoprune.problems.tables.table import Table
from emoprune.space import Space

__all__ = ["ReferenceInputs", "StreamReference"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A stream, and what the genes of its policies mean.

    Attributes:
        table: The rows in their order.
        steps: Which rows each window has, and which windows are searched on; the others are not to be looked at.
        genes: From policies to genomes and back.
        rng: All randomness of the method.
    """

    table: Table
    steps: Steps
    genes: PolicyGenes
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space


class StreamReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks policies without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes, of which `inputs.genes.encoded` makes policies."""
        ...
