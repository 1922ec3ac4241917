"""Units ranked by how seldom they are zero."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.activations import activations_of
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import averaged, units_by_part

__all__ = ["APoZ"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the calibration images",
    papers=[
        Paper(
            "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures", "1607.03250"
        )
    ],
)
class APoZ:
    """1 minus the average percentage of zeros of a unit's channels where they are consumed.

    Shares are of one scale everywhere: several consumers are averaged as they are. Tells units apart only behind an
    activation that puts out zeros, such as ReLU; where it does not, all are 1 and the first ones stay. Source: 'Network
    Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures', 1607.03250.
    """

    leaf: ClassVar[str] = "filter ranking/activation of this layer"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return for each unit the share of its activations that are not zero, from 0 to 1."""
        structure = evidence.structure
        by_part = units_by_part(structure, activations_of(evidence).active, "in")
        return [averaged(parts, group.units) for parts, group in zip(by_part, structure.groups, strict=True)]
