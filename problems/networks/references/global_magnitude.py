"""One threshold on the scores of all units."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.problems.networks.criteria.ranking import normalised
from emoprune.problems.networks.references.inputs import Found, ReferenceInputs
from emoprune.problems.networks.references.target import along
from emoprune.space import IntArray

__all__ = ["floors_of_groups", "global_magnitude"]


def global_magnitude(inputs: ReferenceInputs) -> Found:
    """Return genomes whose units have the highest scores of the whole network, with a floor for each coupling group.

    Scores are divided by their group's L2 norm, without which the threshold would compare groups of different fan-in:
    Molchanov et al., Pruning Convolutional Neural Networks for Resource Efficient Inference, arXiv 1611.06440. No group
    keeps fewer units than the share `floor` of all units of the network; smaller groups stay whole: Gupta et al., Is
    Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude Pruning, arXiv 2209.14624. The
    floor published there is 0.05 % of all weights; units are far fewer than weights, so here it is 1 % of all units
    unless the inputs say otherwise.
    """
    floors = floors_of_groups(inputs)
    least = inputs.levels.encode(floors)
    counts = _counts_above_threshold(inputs)

    def curve(positions: FloatArray) -> IntArray:
        widths = counts[np.rint(positions * (len(counts) - 1)).astype(np.int64)]
        return np.maximum(inputs.genomes_near(widths.astype(np.float64)), least)

    return along(curve, "global-magnitude", inputs)


def floors_of_groups(inputs: ReferenceInputs) -> IntArray:
    """Return the least number of units of each coupling group, shape (groups,): `floor` of all units, at least one."""
    units = np.array(inputs.levels.full)
    floor = max(1, int(np.ceil(inputs.floor * units.sum() - 1e-9)))
    return np.asarray(np.minimum(units, floor))


def _counts_above_threshold(inputs: ReferenceInputs) -> IntArray:
    """Return how many of the k best units of the network are each group's, shape (units + 1, groups), for every k."""
    units = np.array(inputs.levels.full)
    group = np.repeat(np.arange(len(units)), units)
    best = np.argsort(-np.concatenate([normalised(own) for own in inputs.scores]), kind="stable")
    counts = np.zeros((len(best) + 1, len(units)), dtype=np.int64)
    counts[np.arange(1, len(best) + 1), group[best]] = 1
    return np.asarray(np.cumsum(counts, axis=0))
