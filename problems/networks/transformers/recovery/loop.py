"""The one loop in which transformers are trained: the same for the same seed, best by the select part."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.problems.networks.recovery.spent import Spent
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["Loss", "train_model"]

Loss = Callable[[Any, Batch], tuple[torch.Tensor, int]]  # the summed loss of a batch, and over how many it is summed

_log = logging.getLogger("emoprune")


def train_model(
    model: Any,
    batches: Sequence[Batch],
    loss: Loss,
    plan: Plan,
    seed: int,
    *,
    score: Callable[[Any], float] | None = None,
    masks: Masks | None = None,
    looks: int = 4,
    label: str = "training",
) -> Spent:
    """Train the parameters of `model` that take gradients, in place, with AdamW; leave it in eval mode.

    The learning rate follows `plan`. Dropout is off: a pruned model underfits.

    Args:
        model: In eval mode.
        batches: Seen in another order in each epoch.
        loss: What is minimised, divided by the number it is summed over.
        plan: How long and how fast; its `batch` and what varies images are not looked at.
        seed: Fixes the order.
        score: What says how good the model is, less is better: the weights with the lowest one are kept, those before
            the first step among them. None keeps the last ones.
        masks: What stays zero.
        looks: How often the score is asked for.
        label: What log lines begin with.

    Raises:
        ConfigError: The loss or the score is no longer finite.
    """
    trained = {name: own for name, own in model.named_parameters() if own.requires_grad}
    steps, order = max(1, round(plan.epochs * len(batches))), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(trained.values(), lr=plan.peak_rate, weight_decay=plan.weight_decay)
    begun, seen, best = time.perf_counter(), 0, _Best(model, trained, score)
    queue: list[int] = []
    _empty(trained, masks or {})
    with one_thread(), seeded(seed):
        best.look()
        for step in range(steps):
            queue = queue or torch.randperm(len(batches), generator=order).tolist()
            for group in optimiser.param_groups:
                group["lr"] = plan.rate(step, steps)
            found, count = _mean(model, batches[queue.pop()], loss, label)
            optimiser.zero_grad()
            torch.autograd.backward(found)
            nn.utils.clip_grad_norm_(trained.values(), plan.clip)
            optimiser.step()
            seen += count
            _empty(trained, masks or {})
            if score is not None and ((step + 1) * looks // steps > step * looks // steps or step + 1 == steps):
                best.look()
                _log.info("%s: step %d of %d: %.4f on select", label, step + 1, steps, best.last)
    best.restore()
    return Spent(steps, seen, time.perf_counter() - begun)


def _mean(model: Any, batch: Batch, loss: Loss, label: str) -> tuple[torch.Tensor, int]:
    """Return a batch's mean loss, with gradients, and over how many it is the mean."""
    with torch.enable_grad():
        total, count = loss(model, batch)
    if not math.isfinite(total.item()):
        raise ConfigError(f"{label}: diverged (loss {total.item()}); lower the rate")
    return total / count, count


def _empty(trained: Mapping[str, nn.Parameter], masks: Masks) -> None:
    with torch.no_grad():
        for name, mask in masks.items():
            trained[name].masked_fill_(mask, 0.0)


class _Best:
    """The weights with the lowest score so far."""

    def __init__(self, model: Any, trained: Mapping[str, nn.Parameter], score: Callable[[Any], float] | None) -> None:
        self._model, self._trained, self._score = model, trained, score
        self._lowest = math.inf
        self._state: dict[str, torch.Tensor] = {}
        self.last = math.nan

    def look(self) -> None:
        if self._score is None:
            return
        with torch.no_grad():
            self.last = self._score(self._model)
        if self.last < self._lowest:
            self._lowest = self.last
            self._state = {name: own.detach().clone() for name, own in self._trained.items()}

    def restore(self) -> None:
        if self._score is not None and not self._state:
            raise ConfigError("recovery: the model's score is not finite; prune less of it, or lower the rate")
        with torch.no_grad():
            for name, own in self._state.items():
                self._trained[name].copy_(own)
