"""Heads taken away one after the other."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.transformers.criteria.gates import HeadGates
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.references.keeping import genome_keeping
from emoprune.space import IntArray

__all__ = ["GreedyHeads"]

GONE = (20, 40, 60)  # percent of all heads
OTHERS = (
    "greedy-heads: none at {gone}, because a genome of levels keeps the heads that the problem's criterion ranks "
    "first, and these are others than the paper keeps; with criterion: head-gates, or genes: bits, they are the same"
)


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

    None where the genome would keep other heads than these, as one of levels does by another criterion than
    `head-gates`. Query heads that go together by `whole_groups` are ranked by their mean. Source: Michel, Levy and
    Neubig, Are Sixteen Heads Really Better than One?, arXiv 1905.10650; scores are computed once.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each share of the heads that goes."""
        gates, layout = HeadGates()(inputs.evidence), inputs.layout
        heads = range(0, len(gates), 2)
        bundles = sorted(
            (float(score), group, bundle)
            for group in heads
            for bundle, score in enumerate(gates[group].reshape(-1, layout.together(group)).mean(axis=1))
        )
        number = sum(len(gates[group]) for group in heads)
        references, others = [], []
        for percent in GONE:
            kept = [np.arange(units) for units in layout.anatomy.units]
            wanted = number * percent // 100
            for _, group, bundle in bundles:
                together = layout.together(group)
                gone = number - sum(len(kept[own]) for own in heads)
                if gone + together <= wanted and len(kept[group]) - together >= max(together, layout.floor(group)):
                    kept[group] = _without(kept[group], bundle, together)
            genome, exactly = genome_keeping(inputs, kept)
            if exactly:
                references.append(Reference(f"greedy-heads-{percent}-gone", genome))
            else:
                others.append(f"{percent} %")
        return Found(tuple(references), notes=(OTHERS.format(gone=", ".join(others)),) if others else ())


def _without(kept: IntArray, bundle: int, together: int) -> IntArray:
    return np.asarray(kept[kept // together != bundle], dtype=np.int64)
