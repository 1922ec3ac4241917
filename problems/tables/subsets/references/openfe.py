"""The plain answer of OpenFE: all columns and the ten most important new features."""

from __future__ import annotations

from emoprune.contracts import Found, about
from emoprune.problems.tables.openfe import OPENFE
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs

__all__ = ["FEATURES", "OpenFE"]

FEATURES = 10


@about(
    "feature generation",
    ["formulas"],
    serves=["features", "feature-subset"],
    cost="nothing beyond the new features of the problem",
    papers=[OPENFE],
    training=True,
)
class OpenFE:
    """All columns and the ten most important new features; nothing where there are no new ones."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return all columns and the first ten new features; nothing if there are none."""
        new = tuple(inputs.openfe[:FEATURES])
        return Found((inputs.keeping(f"openfe-{len(new)}", (*inputs.columns, *new)),) if new else ())
