"""One threshold on the scores of all units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.target import AtTargets, along
from emoprune.problems.networks.criteria.ranking import normalised
from emoprune.space import IntArray

__all__ = ["GlobalMagnitude"]


@about(
    "pruning",
    ["channels"],
    serves=("channels", "subnetworks"),
    cost="the scores of the criterion; nothing is run",
    papers=[
        Paper("Pruning Convolutional Neural Networks for Resource Efficient Inference", "1611.06440"),
        Paper(
            "Is Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude Pruning", "2209.14624"
        ),
    ],
)
@dataclass(frozen=True, slots=True)
class GlobalMagnitude(AtTargets):
    """Genomes whose units have the highest scores of the whole network, with a floor for each coupling group.

    Scores are divided by their group's L2 norm, without which the threshold would compare groups of different fan-in:
    Molchanov et al., Pruning Convolutional Neural Networks for Resource Efficient Inference, arXiv 1611.06440. No group
    keeps fewer units than the share `floor` of all units of the network; smaller groups stay whole: Gupta et al., Is
    Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude Pruning, arXiv 2209.14624. The
    floor published there is 0.05 % of all weights; units are far fewer than weights, so here it is 1 % of all units.

    Args:
        percentages: The targets, whole percentages of what the unpruned network costs.
        floor: Which share of all units each coupling group keeps at least.
    """

    floor: float = 0.01

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"floor: expected a share from 0 to 1, found {self.floor}; 0.01 keeps small groups whole")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each target."""
        least = inputs.levels.encode(self.floors_of_groups(inputs))
        counts = _counts_above_threshold(inputs)

        def curve(positions: FloatArray) -> IntArray:
            widths = counts[np.rint(positions * (len(counts) - 1)).astype(np.int64)]
            return np.maximum(inputs.genomes_near(widths.astype(np.float64)), least)

        return along(curve, "global-magnitude", inputs, self.percentages)

    def floors_of_groups(self, inputs: ReferenceInputs) -> IntArray:
        """Return the least number of units of each coupling group, shape (groups,), at least one."""
        units = np.array(inputs.levels.full)
        floor = max(1, int(np.ceil(self.floor * units.sum() - 1e-9)))
        return np.asarray(np.minimum(units, floor))


def _counts_above_threshold(inputs: ReferenceInputs) -> IntArray:
    """Return how many of the k best units of the network are each group's, shape (units + 1, groups), for every k."""
    units = np.array(inputs.levels.full)
    group = np.repeat(np.arange(len(units)), units)
    best = np.argsort(-np.concatenate([normalised(own) for own in inputs.scores]), kind="stable")
    counts = np.zeros((len(best) + 1, len(units)), dtype=np.int64)
    counts[np.arange(1, len(best) + 1), group[best]] = 1
    return np.asarray(np.cumsum(counts, axis=0))
