"""Weight decay where the loss does not care, and the threshold below which nothing is missed then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import nn

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Lessons

__all__ = ["DecayingLessons", "IrrelevanceDecay", "Threshold", "bisected_threshold", "irrelevance"]

TRIED = 16  # thresholds that are looked at to see whether the loss rises with them


class InOneStage(Protocol):
    """A pruned network or transformer that can be trained with lessons of another kind."""

    def in_one_stage(self, wrapped: Callable[[Lessons], Lessons], by: str) -> Any:
        """Return what became of it, as a recovery returns it."""
        ...


@about(
    "recovery",
    ["weights"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("Regularization-based Pruning of Irrelevant Weights in Deep Neural Architectures", "2204.04977")],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part",
)
@dataclass(frozen=True, slots=True)
class IrrelevanceDecay:
    """Trains what stays, and decays each weight as much as the loss does not depend on it.

    Irrelevance is exp(-|gradient| / the parameter's mean |gradient|), the decay is decoupled from the gradient's step.
    Source: Bonetta et al., Regularization-based Pruning of Irrelevant Weights in Deep Neural Architectures, arXiv
    2204.04977; the form of irrelevance is our own.

    Args:
        decay: How much of a weight that is wholly irrelevant goes in a step, times the learning rate.

    Raises:
        ConfigError: It is negative.
    """

    decay: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.decay < float("inf"):
            raise ConfigError(f"decay: expected 0 or a positive number, found {self.decay}")

    def __call__(self, case: InOneStage) -> Any:
        """Return the recovered network, with its weights that were best on select."""
        return case.in_one_stage(lambda lessons: DecayingLessons(lessons, self.decay), "irrelevance-decay")


def irrelevance(gradient: torch.Tensor) -> torch.Tensor:
    """Return for each weight how little the loss depends on it, from above 0 to 1; 1 where no gradient is."""
    sizes = gradient.abs()
    mean = sizes.mean()
    return torch.exp(-sizes / mean) if bool(mean > 0) else torch.ones_like(sizes)


@dataclass(frozen=True, slots=True, eq=False)
class DecayingLessons:
    """Lessons whose optimiser decays weights by their irrelevance, in place of its own weight decay.

    Attributes:
        lessons: All else.
        decay: As of `IrrelevanceDecay`.
        weighing: Returns the irrelevance by a gradient.
    """

    lessons: Lessons
    decay: float
    weighing: Callable[[torch.Tensor], torch.Tensor] = irrelevance

    @property
    def plan(self) -> Plan:
        """How long and how fast."""
        return self.lessons.plan

    @property
    def of_training(self) -> bool:
        """Whether dropout and batch norms are those of training."""
        return self.lessons.of_training

    @property
    def each(self) -> int:
        """How many steps an epoch takes."""
        return self.lessons.each

    def epoch(self, order: torch.Generator) -> Sequence[Any]:
        """Return what one epoch's steps are given."""
        return self.lessons.epoch(order)

    def loss(self, model: Any, batch: Any, order: torch.Generator) -> tuple[torch.Tensor, int]:
        """Return the mean loss, and how many examples the batch has."""
        return self.lessons.loss(model, batch, order)

    def score(self, model: Any) -> tuple[float, ...]:
        """Return how good a model is on select."""
        return self.lessons.score(model)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the lessons' own optimiser, which decays before each of its steps."""
        made = self.lessons.optimiser(parameters)
        for group in made.param_groups:
            group["weight_decay"] = 0.0
        made.register_step_pre_hook(lambda optimiser, *_: self._decay(optimiser))
        return made

    def _decay(self, optimiser: torch.optim.Optimizer) -> None:
        with torch.no_grad():
            for group in optimiser.param_groups:
                for own in group["params"]:
                    if own.grad is not None:
                        # In 64 bits, so that an irrelevance of 1 is plain weight decay to the last bit.
                        left = 1 - group["lr"] * self.decay * self.weighing(own.grad).double()
                        own.mul_(left.to(own.dtype))


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold on magnitudes, how much of the loss it costs, and whether the loss rose with all that were tried."""

    value: float
    lost: float
    monotone: bool


def bisected_threshold(
    model: nn.Module, names: Sequence[str], score: Callable[[Any], float], most: float, *, halvings: int = 20
) -> Threshold:
    """Return the largest threshold below which weights can be zeroed so that the score rises by at most `most`.

    Where the score does not rise with every threshold there may be a larger one; the answer says so.

    Args:
        model: Stays as it was.
        names: The parameters whose weights are zeroed.
        score: Of a model; less is better.
        most: By how much the score may rise.
        halvings: How often the interval is halved.
    """
    before = {name: model.get_parameter(name).detach().clone() for name in names}
    whole = score(model)

    def lost(threshold: float) -> float:
        with torch.no_grad():
            for name, own in before.items():
                model.get_parameter(name).copy_(torch.where(own.abs() < threshold, 0.0, own))
        return score(model) - whole

    high = max(float(own.abs().max()) for own in before.values())
    try:
        tried = [lost(high * step / TRIED) for step in range(TRIED + 1)]
        monotone = all(one <= other for one, other in pairwise(tried))
        low = 0.0
        for _ in range(halvings):
            middle = (low + high) / 2
            low, high = (middle, high) if lost(middle) <= most else (low, middle)
        return Threshold(low, lost(low), monotone)
    finally:
        with torch.no_grad():
            for name, own in before.items():
                model.get_parameter(name).copy_(own)
