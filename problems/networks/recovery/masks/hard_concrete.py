"""Hard-concrete gates: L0 in expectation, brought to a target by multipliers that are learnt against it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.masks.contract import Own, largest

__all__ = ["HardConcrete", "gates", "lagrangian", "open_probability"]

# How far the concrete distribution is stretched beyond 0 and 1, and its temperature, as published.
LOW, HIGH, BETA = -0.1, 1.1, 2 / 3
OPEN_AT_FIRST = 0.95  # how probably a gate of mean size passes something at the beginning


@about(
    "recovery",
    ["weights", "channels", "heads", "neurons"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[
        Paper("Learning Sparse Neural Networks through L0 Regularization", "1712.01312"),
        Paper(
            "Compresso: Structured Pruning with Collaborative Prompting Learns Compact Large Language Models",
            "2310.05015",
        ),
    ],
    gradients=True,
    training=True,
    cost="a gate for each thing that is masked, and two multipliers for each group of them",
)
@dataclass(frozen=True, slots=True)
class HardConcrete:
    """Random gates that are closed with some probability; their expected number is brought to what a candidate keeps.

    Sources: Louizos et al., Learning Sparse Neural Networks through L0 Regularization, arXiv 1712.01312; the
    multipliers and the rising target as in Guo et al., Compresso, arXiv 2310.05015.

    Args:
        rate: The highest learning rate of gates and multipliers.
        ramp: The share of the training after which the target is the candidate's.

    Raises:
        ConfigError: One of them is out of range.
    """

    rate: float = 0.1
    ramp: float = 0.5

    trains_weights = True

    def __post_init__(self) -> None:
        if not self.rate > 0 or not 0 < self.ramp <= 1:
            raise ConfigError("rate: expected a number above 0; ramp: a share of the training above 0, up to 1")

    def begin(self, sizes: torch.Tensor) -> Own:
        """Return a gate for each thing, the larger things the more probably open, and two multipliers of 0."""
        spread = sizes.std(dim=-1, keepdim=True, correction=0)
        centred = (sizes - sizes.mean(dim=-1, keepdim=True)) / torch.where(spread > 0, spread, 1.0)
        first = math.log(OPEN_AT_FIRST / (1 - OPEN_AT_FIRST)) + BETA * math.log(-LOW / HIGH)
        zero = torch.zeros(1, device=sizes.device)
        return {"gates": (first + centred).detach(), "multiplier": zero, "multiplier of squares": zero.clone()}

    def soft(
        self,
        sizes: torch.Tensor,  # noqa: ARG002  # the contract's
        own: Own,
        keep: int,  # noqa: ARG002  # the contract's
        progress: float,  # noqa: ARG002  # the contract's
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Return gates that are drawn."""
        return gates(own["gates"], generator)

    def penalty(self, own: Own, keep: int, columns: int, progress: float) -> torch.Tensor:
        """Return what draws the share of gates that are closed to the target that is due by now."""
        closed = 1 - open_probability(own["gates"]).mean()
        target = (1 - keep / columns) * min(1.0, progress / self.ramp)
        return lagrangian(closed, target, own["multiplier"], own["multiplier of squares"])

    def hard(self, sizes: torch.Tensor, own: Own, keep: int) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return where gates are the most probably open."""
        return largest(own["gates"], keep)


def gates(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return hard-concrete gates, drawn, from 0 to 1 and often one of them, with gradients by their logits."""
    drawn = torch.rand(logits.shape, generator=generator, device=generator.device).to(logits).clamp(1e-6, 1 - 1e-6)
    concrete = torch.sigmoid((drawn.log() - torch.log1p(-drawn) + logits) / BETA)
    return (concrete * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def open_probability(logits: torch.Tensor) -> torch.Tensor:
    """Return how probably each gate is above 0, in closed form."""
    return torch.sigmoid(logits - BETA * math.log(-LOW / HIGH))


def lagrangian(found: torch.Tensor, target: float, linear: torch.Tensor, squared: torch.Tensor) -> torch.Tensor:
    """Return linear (found - target) + squared (found - target)²; the multipliers climb while all else descends."""
    missed = found - target
    return (_climbing(linear) * missed + _climbing(squared) * missed.square()).sum()


def _climbing(multiplier: torch.Tensor) -> torch.Tensor:
    """Return the same number with its gradient turned."""
    return 2 * multiplier.detach() - multiplier
