"""One threshold on score per parameter over the units of all layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.contracts import Found
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.space import IntArray

__all__ = ["above_one_threshold"]


def above_one_threshold(inputs: ReferenceInputs, name: str, scores: Sequence[Scores]) -> Found:
    """Return at each percentage the genome that keeps the units with the highest scores per parameter.

    Args:
        inputs: As a reference method gets them.
        name: The method's.
        scores: Shape (units,) for each group.
    """
    groups = np.repeat(np.arange(len(scores)), [len(own) for own in scores])
    worth = np.concatenate([own / cost for own, cost in zip(scores, inputs.evidence.costs, strict=True)])
    best = groups[np.argsort(-worth, kind="stable")]

    def genome_at(position: float) -> IntArray:
        counts = np.bincount(best[: round(position * len(best))], minlength=len(scores))
        return inputs.layout.encode(counts.tolist(), inputs.orders)

    return Found(inputs.at_percentages(name, genome_at))
