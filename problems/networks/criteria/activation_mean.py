"""Units ranked by the mean size of what they carry."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.activations import activations_of
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import averaged, shares, units_by_part

__all__ = ["ActivationMean"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the calibration images",
    papers=[Paper("Pruning Convolutional Neural Networks for Resource Efficient Inference", "1611.06440")],
)
class ActivationMean:
    """Mean absolute activation of a unit's channels where they are consumed, over all images and places.

    Where a group has several consumers, each one's values are made shares of their sum first, and then averaged.
    Source: a mean activation among the criteria of 'Pruning Convolutional Neural Networks for Resource Efficient
    Inference', 1611.06440; absolute here, so that channels without a ReLU do not cancel to nothing.
    """

    leaf: ClassVar[str] = "filter ranking/activation of this layer"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return each unit's share of the mean absolute activation of its coupling group."""
        structure = evidence.structure
        by_part = units_by_part(structure, activations_of(evidence).sizes, "in")
        return [
            averaged([shares(own) for own in parts], group.units)
            for parts, group in zip(by_part, structure.groups, strict=True)
        ]
