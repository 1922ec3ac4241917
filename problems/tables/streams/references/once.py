"""Columns chosen once, in the first window."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, about
from emoprune.problems.tables.streams.genes import NEVER
from emoprune.problems.tables.streams.references.at_shares import Clustered
from emoprune.problems.tables.streams.references.contract import ReferenceInputs

__all__ = ["Once"]


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Once(Clustered):
    """The half and the quarter of the columns that are tightest in the first window, kept in all that follow."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a policy for each share."""
        return self.along("once", inputs, clusters=self.clusters, threshold=NEVER)
