"""One stage of training: a whole schedule of the learning rate, or the rest of one from a step on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["Best", "best_stage", "emptied", "stage_steps", "train_stage"]

LOOKS = 4  # how often a stage that chooses looks at the select part


def stage_steps(lessons: Lessons, stages: int) -> int:
    """Return how many steps each of so many stages takes, at least one: the plan's epochs, shared out."""
    return max(1, round(lessons.plan.epochs * lessons.each / stages))


def train_stage(
    model: Any,
    lessons: Lessons,
    steps: int,
    seed: int,
    *,
    masks: Masks | None = None,
    first: int = 0,
    optimiser: torch.optim.Optimizer | None = None,
    penalty: Callable[[int], torch.Tensor | float] | None = None,
    after: Callable[[int, torch.optim.Optimizer], None] | None = None,
    macs: float = 0.0,
    label: str = "training",
) -> Spent:
    """Train the parameters of `model` that take gradients, in place, on one thread; leave it in eval mode.

    Args:
        model: A torch module.
        lessons: What it is trained on, and by which rule.
        steps: Of the whole schedule.
        seed: Fixes the order of what is trained on, how it is varied, and dropout.
        masks: What is zero and stays so.
        first: The step of the schedule to begin with.
        optimiser: A new one of the lessons unless given.
        penalty: Called before each step, with its number: what is added to the loss.
        after: Called after each step, with its number from 1 and the optimiser.
        macs: Multiply-accumulates of one example's forward pass.
        label: What errors begin with.

    Raises:
        ConfigError: The loss or a weight is no longer finite; it says at which step.
    """
    trained = [own for own in model.parameters() if own.requires_grad]
    optimiser = optimiser or lessons.optimiser(trained)
    order, queue, seen, begun = torch.Generator().manual_seed(seed), list[Any](), 0, time.perf_counter()
    emptied(model, masks or {})
    with one_thread(), seeded(seed):
        model.train(lessons.of_training)
        for step in range(first, steps):
            queue = queue or list(lessons.epoch(order))[::-1]
            for group in optimiser.param_groups:
                group["lr"] = lessons.plan.rate(step, steps) * group.get("times", 1.0)
            with torch.enable_grad():
                loss, count = lessons.loss(model, queue.pop(), order)
                total = loss if penalty is None else loss + penalty(step)
            _check_finite(float(total.detach()), step, steps, label)
            optimiser.zero_grad()
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(trained, lessons.plan.clip)
            optimiser.step()
            emptied(model, masks or {})
            seen += count
            if after is not None:
                after(step + 1, optimiser)
    model.eval()
    if not all(bool(torch.isfinite(own).all()) for own in trained):
        _check_finite(math.nan, steps - 1, steps, label)
    taken = max(0, steps - first)
    return Spent(taken, seen, time.perf_counter() - begun, taken / lessons.each, seen * macs)


def emptied(model: nn.Module, masks: Masks) -> None:
    """Set to zero what a model's masks say."""
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).masked_fill_(mask, 0.0)


def _check_finite(loss: float, step: int, steps: int, label: str) -> None:
    if not math.isfinite(loss):
        raise ConfigError(f"{label}: diverged at step {step + 1} of {steps} (loss {loss}); lower the rate")


@dataclass(slots=True, eq=False)
class Best:
    """The best state of a stage on select, looked for a few times; given to `train_stage` as `after`."""

    model: Any
    lessons: Lessons
    steps: int
    lowest: tuple[float, ...] = (math.inf,)
    state: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __call__(self, done: int, optimiser: torch.optim.Optimizer | None = None) -> None:  # noqa: ARG002  # a stage's
        """Look, if it is time to."""
        if done < self.steps and done * LOOKS // self.steps == (done - 1) * LOOKS // self.steps:
            return
        self.model.eval()
        with torch.no_grad():
            score = self.lessons.score(self.model)
        self.model.train(self.lessons.of_training)
        if all(map(math.isfinite, score)) and score < self.lowest:
            self.lowest = score
            self.state = {name: own.detach().clone() for name, own in self.model.state_dict().items()}

    def restore(self, label: str) -> None:
        """Set the model back to the best state.

        Raises:
            ConfigError: No score was finite.
        """
        if not self.state:
            raise ConfigError(f"{label}: its score on select was never finite; prune less of it, or lower the rate")
        self.model.load_state_dict(self.state)


def best_stage(
    model: Any, lessons: Lessons, seed: int, *, masks: Masks, macs: float = 0.0, label: str = "training"
) -> Spent:
    """Train a model in place through one schedule of the plan's epochs, and set it to what was best on select.

    The arguments are those of `train_stage`.
    """
    steps = stage_steps(lessons, 1)
    best = Best(model, lessons, steps)
    spent = train_stage(model, lessons, steps, seed, masks=masks, after=best, macs=macs, label=label)
    best.restore(label)
    return spent
