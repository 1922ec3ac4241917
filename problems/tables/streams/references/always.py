"""Columns chosen anew in every window."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, about
from emoprune.problems.tables.streams.genes import EVERY_WINDOW
from emoprune.problems.tables.streams.references.at_shares import Clustered
from emoprune.problems.tables.streams.references.contract import ReferenceInputs

__all__ = ["Always"]


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Always(Clustered):
    """The half and the quarter of the columns that are tightest, chosen anew in every window."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a policy for each share."""
        return self.along("always", inputs, clusters=self.clusters, threshold=EVERY_WINDOW)
