"""Units ranked by their weights' sizes as compared with the larger ones of the same layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import summed_over_units, weights_of_parts

__all__ = ["LAMP", "lamp_scores"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one sort of each layer's weights",
    papers=[Paper("Layer-adaptive sparsity for the Magnitude-based Pruning", "2010.07611")],
)
class LAMP:
    """LAMP scores of a unit's weights, summed over all parts that put its channels out.

    A weight's score is its square divided by the sum of all squares in its layer that are not smaller: a share, and so
    of one scale in all layers. Source: 'Layer-adaptive sparsity for the Magnitude-based Pruning', 2010.07611, where the
    score ranks single weights; the sum over a unit is the step from there to whole channels.
    """

    leaf: ClassVar[str] = "filter ranking/weight norm"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the summed scores of each unit's weights."""
        elements = {path: lamp_scores(weight) for path, weight in weights_of_parts(evidence).items()}
        return summed_over_units(evidence.structure, elements)


def lamp_scores(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the LAMP score of each weight of a layer, from 0 to 1, in the weight's shape.

    Weights of equal size have equal scores, so that no score depends on the order of the channels.
    """
    squares = np.square(weight)
    rising = np.sort(squares, axis=None)
    not_smaller = np.cumsum(rising[::-1])[::-1]  # at each place the sum of the squares from there on
    totals = not_smaller[np.searchsorted(rising, squares)]
    scores = np.zeros_like(squares)
    np.divide(squares, totals, out=scores, where=totals > 0)
    return scores
