"""Units ranked by the size of all the weights that would go with them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import summed_over_units, weights_of_parts

__all__ = ["L1", "L2"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the weights",
    papers=[Paper("Pruning Filters for Efficient ConvNets", "1608.08710")],
)
class L1:
    """Sum of the absolute weights of all filters that put a unit's channels out.

    Weights of coupled parts are of one kind and are summed as they are, as if they were one filter. Source: 'Pruning
    Filters for Efficient ConvNets', 1608.08710.
    """

    leaf: ClassVar[str] = "filter ranking/weight norm"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the summed absolute weights of each unit."""
        elements = {path: np.abs(weight) for path, weight in weights_of_parts(evidence).items()}
        return summed_over_units(evidence.structure, elements)


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the weights",
    papers=[Paper("Pruning Convolutional Neural Networks for Resource Efficient Inference", "1611.06440")],
)
class L2:
    """Root of the sum of the squared weights of all filters that put a unit's channels out, as if they were one.

    Source: among the criteria of 'Pruning Convolutional Neural Networks for Resource Efficient Inference', 1611.06440.
    """

    leaf: ClassVar[str] = "filter ranking/weight norm"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the L2 norm of each unit's weights."""
        elements = {path: np.square(weight) for path, weight in weights_of_parts(evidence).items()}
        return [np.sqrt(scores) for scores in summed_over_units(evidence.structure, elements)]
