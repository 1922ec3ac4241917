"""Units ranked by whether they grow again when they were emptied in a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.learned.trained import scaled_units, trained_copy
from emoprune.problems.networks.criteria.norms import L2

__all__ = ["SoftFilters"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="`rounds` times `steps` passes forwards and backwards over the calibration images",
    papers=[Paper("Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks", "1808.06866")],
    gradients=True,
)
@dataclass(frozen=True, slots=True)
class SoftFilters:
    """The L2 norm of a unit's weights in a copy that was trained in rounds, the smallest units emptied after each.

    Emptied units are trained on, so that one that the loss needs comes back. Source: He et al., Soft Filter Pruning for
    Accelerating Deep Convolutional Neural Networks, arXiv 1808.06866, where a round is an epoch of the whole training;
    the network that is pruned keeps its weights, only the ranking comes from the copy.

    Args:
        share: Of each coupling group's units that are emptied after a round, all but one at most.
        rounds: How often; after the last one nothing is emptied.
        steps: Of gradient descent in a round, each over all calibration images.
        rate: The learning rate.
    """

    share: float = 0.5
    rounds: int = 4
    steps: int = 5
    rate: float = 0.01

    leaf: ClassVar[str] = "dynamic pruning/during training"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.rounds < 2 or self.steps < 1 or self.rate <= 0:
            raise ConfigError(
                "soft-filters: expected a share between 0 and 1, rounds of 2 and steps of 1 or more, a rate above 0"
            )

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the L2 norms of the copy's units."""
        total = self.rounds * self.steps

        def empty(own: Evidence, step: int) -> None:
            if (step + 1) % self.steps == 0 and step + 1 < total:
                scaled_units(own.network, own.structure, [self._staying(norms) for norms in L2()(own)])

        return L2()(trained_copy(evidence, total, self.rate, empty))

    def _staying(self, norms: Scores) -> Scores:
        """Return 0 for the units that are emptied and 1 for the others, shape (units,)."""
        factors = np.ones(len(norms))
        factors[np.argsort(norms, kind="stable")[: int(self.share * len(norms))]] = 0
        return factors
