"""Units ranked by chance: the control that every other criterion has to beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from emoprune.contracts import about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores

__all__ = ["RandomOrder"]


@about(
    "pruning",
    ["channels", "heads", "neurons"],
    serves=["channels", "subnetworks", "heads-and-neurons"],
    cost="nothing is run",
)
class RandomOrder:
    """Scores drawn evenly from 0 to 1 by the evidence's seed, without a look at the network."""

    leaf: ClassVar[str] = "control/random"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the drawn scores."""
        rng = np.random.default_rng(evidence.seed)
        return [rng.random(group.units) for group in evidence.structure.groups]
