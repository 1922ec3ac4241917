"""All columns and the new features that were found again and again, on the training rows of every fold."""

from __future__ import annotations

from emoprune.contracts import Found, Paper, about
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs

__all__ = ["Stable"]

SIZES = (3, 6, 12, 20, 40)  # new features


@about(
    "feature generation",
    ["formulas"],
    serves=["features", "feature-subset"],
    cost="nothing beyond the new features of the problem",
    papers=[Paper("Stability Selection", "0809.2932")],
    training=True,
)
class Stable:
    """All columns and the first new features by how early and how often they were found on different rows."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return all columns and the first three to forty new features; nothing if there are none."""
        new = tuple(inputs.survivors)
        counts = sorted({min(size, len(new)) for size in SIZES} - {0})
        return Found(tuple(inputs.keeping(f"stable-{count}", (*inputs.columns, *new[:count])) for count in counts))
