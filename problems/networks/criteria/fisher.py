"""Units ranked by how much the loss would grow, to second order, without them."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.gradients import gate_gradients_of

__all__ = ["Fisher"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass forward and backward over the calibration images",
    papers=[
        Paper("Faster gaze prediction with dense networks and Fisher pruning", "1801.05787"),
        Paper("Group Fisher Pruning for Practical Network Compression", "2108.00708"),
    ],
    gradients=True,
)
class Fisher:
    """Half the mean over the images of the squared derivative of an image's loss by the unit's gate.

    This is the growth of the loss when the gate closes, with the empirical Fisher information in place of the second
    derivative and the gradient taken as zero. Source: 'Faster gaze prediction with dense networks and Fisher pruning',
    1801.05787; for coupled channels the derivatives of all places are summed before they are squared, as in 'Group
    Fisher Pruning for Practical Network Compression', 2108.00708.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the estimated growth of the loss."""
        return [own / 2 for own in gate_gradients_of(evidence).squares]
