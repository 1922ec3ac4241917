"""The columns with the most mutual information with the target, each taken alone."""

from __future__ import annotations

from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset

__all__ = ["mutual_information"]


def mutual_information(inputs: ReferenceInputs) -> list[Subset]:
    """Return the first half, quarter and eighth of the columns."""
    return inputs.named("mutual-information", inputs.most_informative)
