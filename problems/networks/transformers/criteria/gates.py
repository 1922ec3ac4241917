"""Heads and neurons ranked by how the loss answers to a gate on them."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.criteria.ranking import normalised
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import by_group, statistics_of

__all__ = ["HeadGates"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    papers=[Paper("Are Sixteen Heads Really Better than One?", "1905.10650")],
    gradients=True,
    cost="one pass forwards and backwards over the calibration batches",
)
class HeadGates:
    """Mean absolute derivative of the loss by a gate on the unit, at every token; of L2 norm 1 in each layer.

    Source: Michel, Levy and Neubig, Are Sixteen Heads Really Better than One?, arXiv 1905.10650, for heads; neurons are
    ranked by the same formula. It is also the order in which the reference `greedy-heads` takes heads away.
    """

    leaf: ClassVar[str] = "optimisation tools/first-order Taylor"

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return the normalised derivatives of each layer's heads, and of its neurons."""
        sums = statistics_of(evidence)
        found = by_group(evidence, ((place, own.sizes / max(1, own.tokens)) for place, own in sums.items()))
        return [normalised(own) for own in found]
