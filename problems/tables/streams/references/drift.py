"""Columns chosen anew where a window would choose too different ones."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.streams.genes import THRESHOLDS
from emoprune.problems.tables.streams.references.at_shares import Clustered
from emoprune.problems.tables.streams.references.contract import ReferenceInputs

__all__ = ["Drift"]


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Drift(Clustered):
    """The half and the quarter of the columns that are tightest, chosen anew where they have drifted.

    Args:
        threshold: The overlap of old and new columns below which they are chosen anew: 0.3, 0.5, 0.7 or 0.9.
    """

    threshold: float = 0.7

    def __post_init__(self) -> None:
        Clustered.__post_init__(self)
        if self.threshold not in THRESHOLDS[1:-1]:
            known = ", ".join(map(str, THRESHOLDS[1:-1]))
            raise ConfigError(f"threshold: expected one of {known}, found {self.threshold}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a policy for each share."""
        return self.along("drift", inputs, clusters=self.clusters, threshold=self.threshold)
