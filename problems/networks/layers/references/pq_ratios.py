"""Ratios that the PQ index of each layer's weights suggests, round after round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import FloatArray, Found, Paper, about
from emoprune.problems.networks.channels.references.ratios import kept_share_of_pq
from emoprune.problems.networks.evaluation.sparsity_index import pq_index
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs, Sizes
from emoprune.problems.networks.layers.references.targets import AtShares, most_within

__all__ = ["PqHalfAndOne", "PqOneAndTwo", "pq_counts"]

PROGRESS = 0.01  # rounds that take less than this of every layer end nowhere

_of_pq = about(
    "pruning",
    ["layers"],
    serves=("weight-ratios", "transformer-weight-ratios"),
    cost="the PQ index of all weights in each round; nothing is run",
    papers=[Paper("Pruning Deep Neural Networks from a Sparsity Perspective", "2302.05601")],
)


@dataclass(frozen=True, slots=True)
class PqRatios(AtShares):
    """Genomes of PQ ratios: each round keeps what the PQ index says of each layer's weights.

    Source: Diao et al., Pruning Deep Neural Networks from a Sparsity Perspective, arXiv 2302.05601.
    """

    name: ClassVar[str]
    p: ClassVar[float]
    q: ClassVar[float]

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target."""
        falling = inputs.falling()
        return self.along(self.name, inputs, lambda share: pq_counts(falling, share, self.p, self.q))


@_of_pq
@dataclass(frozen=True, slots=True)
class PqHalfAndOne(PqRatios):
    """Genomes of PQ ratios for p = 0.5 and q = 1."""

    name: ClassVar[str] = "pq-0_5-1"
    p: ClassVar[float] = 0.5
    q: ClassVar[float] = 1.0


@_of_pq
@dataclass(frozen=True, slots=True)
class PqOneAndTwo(PqRatios):
    """Genomes of PQ ratios for p = 1 and q = 2."""

    name: ClassVar[str] = "pq-1-2"
    p: ClassVar[float] = 1.0
    q: ClassVar[float] = 2.0


def pq_counts(falling: Sizes, density: float, p: float, q: float) -> FloatArray:
    """Return how many weights of each layer rounds of PQ ratios keep, at most `density` of all; shape (layers,).

    Sparsity-informed Adaptive Pruning, of layers: the PQ index of the weights that remain says what share of them
    stays, at least a tenth in each round. The last round goes as far as the target, from the counts before it towards
    those after it in equal ratios; if the weights that remain are alike in all layers, it goes towards one weight each.
    No weight is trained between rounds, unlike in the paper. Source: Diao et al., Pruning Deep Neural Networks from a
    Sparsity Perspective, arXiv 2302.05601.

    Args:
        falling: Each layer's magnitudes, the largest first.
        density: The share of all weights that stays.
        p: The index's first norm.
        q: The index's second norm.
    """
    sizes = np.array([len(own) for own in falling], dtype=np.float64)
    target, before, after = density * sizes.sum(), sizes, sizes
    while after.sum() > target:
        staying = _staying(falling, after, p, q)
        if (staying > 1 - PROGRESS).all():
            before, after = after, np.ones_like(after)
            break
        before, after = after, np.maximum(1.0, after * staying)
    return most_within(lambda position: after ** (1 - position) * before**position, target)


def _staying(falling: Sizes, counts: FloatArray, p: float, q: float) -> FloatArray:
    remaining = [own[: max(1, round(count))] for own, count in zip(falling, counts.tolist(), strict=True)]
    return np.array([kept_share_of_pq(pq_index(own, p, q), len(own), p, q) for own in remaining])
