"""Units ranked by how much the loss would change, to first order, without them."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.gradients import gate_gradients_of

__all__ = ["Taylor"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass forward and backward over the calibration images",
    papers=[Paper("Pruning Convolutional Neural Networks for Resource Efficient Inference", "1611.06440")],
    gradients=True,
)
class Taylor:
    """Mean over the images of the absolute first-order change of an image's loss when a unit's gate closes.

    For one image this is |sum of activation * gradient| over all places where the unit's channels leave their group,
    which equals |sum of weight * gradient| over all weights that read the unit. The absolute value is taken per image:
    for a trained network the changes of all images together cancel to about zero. Sums over several readers are of one
    scale, that of the loss. Source: 'Pruning Convolutional Neural Networks for Resource Efficient Inference',
    1611.06440; there the sum is divided by the number of places, here not, since a unit goes from all of them.
    """

    leaf: ClassVar[str] = "optimisation tools/first-order Taylor"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the mean absolute change of the loss in nats."""
        return [own.copy() for own in gate_gradients_of(evidence).sizes]
