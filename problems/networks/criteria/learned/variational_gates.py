"""Units ranked by how surely the images say that they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.learned.gates import by_group, learnt

__all__ = ["VariationalGates"]

K1, K2, K3 = 0.63576, 1.87320, 1.48695  # of the paper's approximation of the divergence from a log-uniform prior
CERTAIN = -4.0  # the logarithm of the variance that gates begin with


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="`steps` passes forwards and backwards over the calibration images",
    papers=[
        Paper("Variational Dropout Sparsifies Deep Neural Networks", "1701.05369"),
        Paper("Variational Convolutional Neural Network Pruning", appeared="CVPR 2019"),
    ],
    gradients=True,
)
@dataclass(frozen=True, slots=True)
class VariationalGates:
    """The signal-to-noise ratio of a normal distribution over a unit's gate, learnt with the weights frozen.

    Mean and variance minimise the cross-entropy of the calibration images and the divergence from a log-uniform prior,
    per image: where the loss does not care, the variance grows. Source: Molchanov et al., Variational Dropout
    Sparsifies Deep Neural Networks, arXiv 1701.05369, for the divergence; for whole channels Zhao et al., Variational
    Convolutional Neural Network Pruning, CVPR 2019, where weights are trained as well.

    Args:
        steps: Of Adam, each over all images.
        rate: Of Adam.
    """

    steps: int = 20
    rate: float = 0.1

    leaf: ClassVar[str] = "optimisation tools/variational Bayes"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0:
            raise ConfigError("variational-gates: expected steps of 1 or more and a rate above 0")

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the logarithm of 1 and the squared mean over the variance of each unit's gate."""
        number, images = sum(evidence.structure.units), max(1, len(evidence.calibration.labels))
        means = torch.ones(number, dtype=torch.float64, requires_grad=True)
        variances = torch.full((number,), CERTAIN, dtype=torch.float64, requires_grad=True)

        def gates(generator: torch.Generator) -> torch.Tensor:
            noise = torch.randn(means.shape, generator=generator, dtype=torch.float64)
            return means + torch.exp(variances / 2) * noise

        def divergence() -> torch.Tensor:
            noise = variances - torch.log(means.square() + 1e-12)
            own = K1 * torch.sigmoid(K2 + K3 * noise) - 0.5 * torch.nn.functional.softplus(-noise) - K1
            return -own.sum() / images

        learnt(evidence, [means, variances], gates, divergence, steps=self.steps, rate=self.rate)
        return by_group(evidence, torch.log1p(means.detach().square() * torch.exp(-variances.detach())))
