"""Columns that tell most of the target, chosen anew in every window."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, about
from emoprune.problems.tables.streams.genes import CLUSTERS, EVERY_WINDOW
from emoprune.problems.tables.streams.references.at_shares import AtShares
from emoprune.problems.tables.streams.references.contract import ReferenceInputs

__all__ = ["Information"]


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Information(AtShares):
    """The half and the quarter of the columns with the most mutual information with the target of each window."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a policy for each share."""
        return self.along("information", inputs, clusters=CLUSTERS[0], threshold=EVERY_WINDOW, information_weight=1.0)
