"""The same level for every layer."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs

__all__ = ["Uniform"]


@about(
    "pruning",
    ["layers"],
    serves=("weight-ratios", "bit-widths", "transformer-weight-ratios", "transformer-bit-widths"),
    cost="none; nothing is run",
)
@dataclass(frozen=True, slots=True)
class Uniform:
    """One genome per level but the highest, the same for all layers, the weakest treatment first."""

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each level."""
        found, levels = [], inputs.levels
        for level in reversed(range(levels.highest)):
            label = levels.treatment.labels[level]
            name = label.replace(" %", "").replace(" ", "-").replace(":", "-of-").replace(".", "_")
            found.append(Reference(f"uniform-{name}", levels.encode(level)))
        return Found(tuple(found))
