"""The plain answer of OpenFE: all columns and the ten most important new features."""

from __future__ import annotations

from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset

__all__ = ["FEATURES", "openfe"]

FEATURES = 10


def openfe(inputs: ReferenceInputs) -> list[Subset]:
    """Return all columns and the first ten new features; nothing if there are none."""
    new = tuple(inputs.openfe[:FEATURES])
    return [(f"openfe-{len(new)}", (*inputs.columns, *new))] if new else []
