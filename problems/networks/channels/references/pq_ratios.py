"""Ratios that the PQ index of each layer's weights suggests, round after round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import FloatArray, Found, Paper, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers
from emoprune.problems.networks.channels.references.ratios import kept_share_of_pq
from emoprune.problems.networks.channels.references.target import AtTargets, along
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.evaluation.sparsity_index import pq_index
from emoprune.space import IntArray

__all__ = ["PqHalfAndOne", "PqOneAndTwo"]

PROGRESS = 0.01  # where a round takes less than this of every group that can still shrink, it ends


@dataclass(frozen=True, slots=True)
class PqRatios(AtTargets):
    """Genomes of PQ ratios: each round keeps what the PQ index says of each layer's weights.

    Sparsity-informed Adaptive Pruning, of layers: the index of the weights that remain gives the share that stays, at
    least a tenth of it in each round; the best units of that share stay, and the next round looks at their weights. The
    last round goes as far as the target cost. No weight is trained between rounds, unlike in the paper. A coupling
    group gets the mean of the layers that put it out, weighted by their numbers of weights. Source: Diao et al.,
    Pruning Deep Neural Networks from a Sparsity Perspective, arXiv 2302.05601.
    """

    name: ClassVar[str]
    p: ClassVar[float]
    q: ClassVar[float]

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        rounds = self._rounds(inputs)
        last = len(rounds) - 1
        if last == 0:
            why = "because all weights of each layer have one size; nothing ranks them"
            return Found(notes=(f"{self.name}: left out, {why}",))

        def curve(positions: FloatArray) -> IntArray:
            place = (1 - positions) * last
            before = np.minimum(place.astype(np.int64), last - 1)
            onward = (place - before)[:, np.newaxis]
            return inputs.genomes_of_shares(rounds[before] ** (1 - onward) * rounds[before + 1] ** onward)

        return along(curve, self.name, inputs, self.percentages)

    def _rounds(self, inputs: ReferenceInputs) -> FloatArray:
        """Return the share of each group's units before the first round and after each: shape (rounds + 1, groups).

        The last one is within the smallest target, or at the narrowest widths, or where the weights that remain are
        alike.
        """
        layers = Layers.of(inputs)
        target = min(self.percentages) * inputs.unpruned_cost
        shares = [np.ones(len(inputs.levels.full))]
        while True:
            genome = inputs.genomes_of_shares(shares[-1][np.newaxis])
            if inputs.costs(genome)[0] * 100 <= target:
                return np.stack(shares)
            kept = _kept_of_layers(inputs, layers, shares[-1], self.p, self.q)
            staying = layers.shares_of_groups(kept[np.newaxis])[0]
            if ((staying > 1 - PROGRESS) | (genome[0] == 0)).all():
                return np.stack(shares)
            shares.append(shares[-1] * staying)


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="the PQ index of all weights in each round; nothing is run",
    papers=[Paper("Pruning Deep Neural Networks from a Sparsity Perspective", "2302.05601")],
)
@dataclass(frozen=True, slots=True)
class PqHalfAndOne(PqRatios):
    """Genomes of PQ ratios for p = 0.5 and q = 1."""

    name: ClassVar[str] = "pq-0_5-1"
    p: ClassVar[float] = 0.5
    q: ClassVar[float] = 1.0


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="the PQ index of all weights in each round; nothing is run",
    papers=[Paper("Pruning Deep Neural Networks from a Sparsity Perspective", "2302.05601")],
)
@dataclass(frozen=True, slots=True)
class PqOneAndTwo(PqRatios):
    """Genomes of PQ ratios for p = 1 and q = 2."""

    name: ClassVar[str] = "pq-1-2"
    p: ClassVar[float] = 1.0
    q: ClassVar[float] = 2.0


def _kept_of_layers(inputs: ReferenceInputs, layers: Layers, shares: FloatArray, p: float, q: float) -> FloatArray:
    """Return which share of each layer's weights stays, shape (layers,), when `shares` of each group's units did."""
    narrowest = [widths[0] for widths in inputs.levels.table]
    widths = np.maximum(narrowest, np.ceil(shares * np.array(inputs.levels.full) - 1e-9)).astype(np.int64)
    kept = [kept_units(scores, int(width)) for scores, width in zip(inputs.scores, widths, strict=True)]
    network = pruned_module(inputs.network, inputs.structure, kept)
    staying = []
    for path in layers.paths:
        weight = network.get_parameter(f"{path}.weight").detach().cpu().double().numpy()
        staying.append(kept_share_of_pq(pq_index(weight, p, q), weight.size, p, q))
    return np.array(staying)
