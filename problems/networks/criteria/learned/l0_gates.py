"""Units ranked by gates that a penalty on their number closes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.learned.gates import by_group, learnt

__all__ = ["L0Gates"]

GAMMA, ZETA, BETA = -0.1, 1.1, 2 / 3  # where the concrete distribution is stretched to, and its temperature
OPEN = 2.0  # where gates begin: open with a probability of 0.97


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="`steps` passes forwards and backwards over the calibration images",
    papers=[Paper("Learning Sparse Neural Networks through L0 Regularization", "1712.01312")],
    gradients=True,
)
@dataclass(frozen=True, slots=True)
class L0Gates:
    """The probability that a unit's hard concrete gate is open, learnt with the weights frozen.

    The loss is the mean cross-entropy of the calibration images and `penalty` times the expected share of open gates.
    Source: Louizos, Welling and Kingma, Learning Sparse Neural Networks through L0 Regularization, arXiv 1712.01312,
    where weights are trained beside the gates.

    Args:
        steps: Of Adam, each over all images.
        rate: Of Adam.
        penalty: On the expected share of open gates, in nats.
    """

    steps: int = 20
    rate: float = 0.2
    penalty: float = 1.0

    leaf: ClassVar[str] = "regularisation/extra gates"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0 or self.penalty < 0:
            raise ConfigError("l0-gates: expected steps of 1 or more, a rate above 0 and a penalty of 0 or more")

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the probability that each unit's gate is open."""
        logits = torch.full((sum(evidence.structure.units),), OPEN, dtype=torch.float64, requires_grad=True)

        def gates(generator: torch.Generator) -> torch.Tensor:
            noise = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
            concrete = torch.sigmoid((torch.logit(noise) + logits) / BETA)
            return torch.clamp(concrete * (ZETA - GAMMA) + GAMMA, 0, 1)

        def opened() -> torch.Tensor:
            return torch.sigmoid(logits - BETA * math.log(-GAMMA / ZETA))

        learnt(evidence, [logits], gates, lambda: self.penalty * opened().mean(), steps=self.steps, rate=self.rate)
        return by_group(evidence, opened())
