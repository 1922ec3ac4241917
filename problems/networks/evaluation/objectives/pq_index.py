"""How unequal the remaining weights are."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, Paper, about
from emoprune.problems.networks.evaluation.objectives.contract import CONVOLUTIONAL, Needs, Seen
from emoprune.problems.networks.evaluation.sparsity_index import pq_index_of

__all__ = ["PqIndex"]


@about(
    "measurement",
    ["network"],
    serves=CONVOLUTIONAL,
    cost="a sum over all weights; nothing is run",
    papers=[Paper("Pruning Deep Neural Networks from a Sparsity Perspective", "2302.05601")],
)
class PqIndex:
    """PQ index of the remaining weights, 0 where all are alike."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "network"

    def __call__(self, seen: Seen) -> float:
        """Return the index for p = 0.5 and q = 1, from 0 to below 1."""
        return pq_index_of(seen.pruned)
