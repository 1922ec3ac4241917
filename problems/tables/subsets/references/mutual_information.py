"""The columns with the most mutual information with the target, each taken alone."""

from __future__ import annotations

from emoprune.contracts import Found, Paper, about
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs

__all__ = ["MutualInformation"]


@about(
    "pruning",
    ["columns"],
    serves=["features", "feature-subset"],
    cost="the nearest neighbours of at most 3,000 rows in each column",
    papers=[Paper("Estimating mutual information", "cond-mat/0305641")],
)
class MutualInformation:
    """The half, quarter and eighth of the columns that tell most of the target, each taken alone."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the first half, quarter and eighth of the columns."""
        return Found(inputs.first("mutual-information", inputs.most_informative()))
