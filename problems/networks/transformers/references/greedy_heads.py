"""Heads taken away one after the other."""

from __future__ import annotations

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.transformers.criteria.gates import HeadGates
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs

__all__ = ["GreedyHeads"]

GONE = (20, 40, 60)  # percent of all heads


@about(
    "pruning",
    ["heads"],
    serves=["heads-and-neurons"],
    papers=[Paper("Are Sixteen Heads Really Better than One?", "1905.10650")],
    gradients=True,
    cost="one pass forwards and backwards over the calibration batches",
)
class GreedyHeads:
    """Genomes without the least important heads of all layers; one stays in each layer.

    Source: Michel, Levy and Neubig, Are Sixteen Heads Really Better than One?, arXiv 1905.10650; scores are computed
    once.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each share of the heads that goes."""
        heads = sorted(
            (float(own[unit]), group, unit)
            for group, own in enumerate(HeadGates()(inputs.evidence))
            if group % 2 == 0
            for unit in range(len(own))
        )
        references = []
        for percent in GONE:
            counts = list(inputs.layout.anatomy.units)
            for _, group, _unit in heads[: len(heads) * percent // 100]:
                counts[group] = max(1, counts[group] - 1)
            references.append(Reference(f"greedy-heads-{percent}-gone", inputs.layout.encode(counts, inputs.orders)))
        return Found(tuple(references))
