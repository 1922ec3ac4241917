"""Units ranked by when the others can make up for them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.stats import rankdata

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.dependence import contributions_of_units, elimination
from emoprune.problems.networks.calibration.evidence import Evidence, Scores

__all__ = ["ReLUOptimal"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="moments of one pass over the calibration images, and an inverse for each unit",
    papers=[Paper("Optimal Sets and Solution Paths of ReLU Networks", "2306.00119")],
)
class ReLUOptimal:
    """The order in which units are merged into scaled others, first those that are exactly sums of them.

    Together with the compensation of the same name, units that go before others are needed go without a change of the
    layer's outputs on the calibration images. Exact on these alone: n images need no more than n units for each output,
    so look at held-out error, and give more images where few units are left. Source: Mishkin and Pilanci, Optimal Sets
    and Solution Paths of ReLU Networks, arXiv 2306.00119, for networks of two layers; here each coupling group by what
    the layers that read it make of it.
    """

    leaf: ClassVar[str] = "filter ranking/activation of the next layer"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return each unit's place in the order, from 1: the later it goes, the larger."""
        found = []
        for products in contributions_of_units(evidence):
            order, scores = elimination(products), np.empty(len(products))
            scores[order.units] = np.arange(1, len(products) + 1)
            # Units that add as much as each other, such as dead ones, have no order among themselves.
            free = order.units[: order.free]
            scores[free] = rankdata(np.diag(products)[free])
            found.append(scores)
        return found
