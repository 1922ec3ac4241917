"""Units ranked by what is left of them when a penalty on whole groups of weights has shrunk them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.learned.trained import scaled_units, trained_copy
from emoprune.problems.networks.criteria.norms import L2

__all__ = ["GroupLasso"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="`steps` passes forwards and backwards over the calibration images",
    papers=[Paper("Learning Structured Sparsity in Deep Neural Networks", "1608.03665")],
    gradients=True,
)
@dataclass(frozen=True, slots=True)
class GroupLasso:
    """The L2 norm of a unit's weights after a short training of a copy with a group lasso on whole units.

    After each gradient step every unit's weights are shrunk by the proximal operator of its norm, measured in shares of
    the mean norm of its coupling group. Source: Wen et al., Learning Structured Sparsity in Deep Neural Networks, arXiv
    1608.03665; the network that is pruned keeps its weights, only the ranking comes from the copy.

    Args:
        steps: Of gradient descent, each over all calibration images.
        rate: The learning rate.
        penalty: By which share of a group's mean norm a unit shrinks in all steps together.
    """

    steps: int = 20
    rate: float = 0.01
    penalty: float = 0.5

    leaf: ClassVar[str] = "regularisation/group sparsity"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0 or self.penalty < 0:
            raise ConfigError("group-lasso: expected steps of 1 or more, a rate above 0 and a penalty of 0 or more")

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the L2 norms of the copy's units."""
        by = [self.penalty / self.steps * own.mean() for own in L2()(evidence)]

        def shrink(own: Evidence, _step: int) -> None:
            norms = L2()(own)
            factors = [np.maximum(1 - each / np.maximum(norm, 1e-300), 0) for norm, each in zip(norms, by, strict=True)]
            scaled_units(own.network, own.structure, factors)

        return L2()(trained_copy(evidence, self.steps, self.rate, shrink))
