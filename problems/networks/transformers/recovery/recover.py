"""Winning back what pruning a transformer cost: a method by its name, its budget, and the model that comes out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import places_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.prepare import orders_of
from emoprune.problems.networks.transformers.recovery.adapters import with_adapters
from emoprune.problems.networks.transformers.recovery.loop import Loss, Masks, Spent, train_model
from emoprune.problems.networks.transformers.recovery.rewinding import rewound
from emoprune.problems.networks.transformers.repair.sequential import repaired_in_turn
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.tasks.scoring import scores_of_model

__all__ = ["REWINDING", "Budget", "Method", "Recovering", "loss_of"]

Method = Literal["finetune", "distil", "lora", "rewind-rate", "rewind-weights", "least-squares"]
REWINDING = ("rewind-rate", "rewind-weights")


@dataclass(frozen=True, slots=True)
class Budget:
    """How a model is won back, and how much that may cost; `rounds` are those of rewinding, `rank` an adapter's."""

    method: Method
    plan: Plan
    rounds: int = 3
    rank: int = 8
    temperature: float = 2.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(f"method: expected one of {', '.join(get_args(Method))}, found {self.method!r}")
        if self.rounds < 1:
            raise ConfigError(f"rounds: expected 1 or more, found {self.rounds}")
        if self.temperature <= 0 or not 0 <= self.weight <= 1:
            raise ConfigError("temperature: expected a number above 0; weight: the teacher's share, from 0 to 1")


def loss_of(opened: Opened, budget: Budget) -> Loss:
    """Return what is minimised: the task's own loss, or a part of it and the divergence from the unpruned model."""
    task = opened.task

    def own(model: Any, batch: Batch) -> tuple[torch.Tensor, int]:
        return task.loss(model, batch), task.numbers(batch)

    def distilled(model: Any, batch: Batch) -> tuple[torch.Tensor, int]:
        taught = task.divergence(model, task.model, batch, budget.temperature)
        return budget.weight * taught + (1 - budget.weight) * task.loss(model, batch), task.numbers(batch)

    return distilled if budget.method == "distil" else own


class Recovering:
    """Recovers one candidate.

    Args:
        opened: The unpruned model, its task, and batches to train on.
        budget: What is done, and how long.
        device: Where it is done.
        seed: All randomness comes from it.
    """

    def __init__(self, opened: Opened, budget: Budget, device: str, seed: int) -> None:
        self._opened = opened
        self._budget = budget
        self._device = device
        self._seed = seed
        self._batches = [batch.on(device) for batch in opened.train]
        self.spent = Spent(0, 0, 0.0)

    def _score(self, model: Any) -> float:
        """Return the loss on the select part; an adapted model's layers lie where the model's own do."""
        return scores_of_model(self._opened, model, "select", frozenset({"loss"}), device=self._device)["loss"]

    def train(self, model: Any, masks: Masks, share: float = 1.0) -> None:
        """Train a model in place for a share of the budget, what `masks` say staying zero."""
        plan = self._budget.plan
        part = Plan(plan.epochs * share, plan.peak_rate, plan.batch, plan.weight_decay, plan.warm_up, plan.clip)
        self.spent += train_model(
            model,
            self._batches,
            loss_of(self._opened, self._budget),
            part,
            self._seed,
            score=self._score,
            masks=masks,
            label=f"recovery by {self._budget.method}",
        )

    def recovered(self, narrower: Narrower, plans: Sequence[BlockPlan]) -> Any:
        """Return the narrowed model with these plans, won back by training, adapters, or a repair; not by rewinding."""
        model = trainable(narrower.narrowed(plans))
        if self._budget.method == "lora":
            model.requires_grad_(requires_grad=False)
            path = self._opened.anatomy.path
            return with_adapters(model, path, self._budget.rank, self._seed, self._train_adapted)
        if self._budget.method == "least-squares":
            model.requires_grad_(requires_grad=False)
            return repaired_in_turn(self._opened, model, plans, self._device)
        self.train(model, {})
        return model.requires_grad_(requires_grad=False)

    def _train_adapted(self, adapted: Any) -> None:
        """Train adapters; what is measured is the model inside."""
        loss = loss_of(self._opened, self._budget)
        self.spent += train_model(
            adapted,
            self._batches,
            lambda own, batch: loss(own.base_model.model, batch),
            self._budget.plan,
            self._seed,
            score=lambda own: self._score(own.base_model.model),
            label="recovery by lora",
        )

    def rewound(self, plans: Sequence[BlockPlan], criterion: TransformerCriterion) -> tuple[Any, list[BlockPlan]]:
        """Return a model with as many heads and neurons in each layer as the plans keep, and its own plans.

        Which ones stay is decided anew in each round, by the criterion on the model as it is trained by then; layers
        that the plans drop are gone from the start.
        """
        opened, budget = self._opened, self._budget
        layers = [opened.anatomy.whole(number) if plan.kept else plan for number, plan in enumerate(plans)]
        model = trainable(opened.narrower().narrowed(layers))
        anatomy = Anatomy(
            opened.anatomy.path,
            tuple(block for block, plan in zip(opened.anatomy.blocks, plans, strict=True) if plan.kept),
            opened.anatomy.hidden,
        )
        kept = [plan for plan in plans if plan.kept]
        targets = [len(units) for plan in kept for units in (plan.heads, plan.neurons)]
        staying = [np.arange(units) for units in anatomy.units]
        task = copy.copy(opened.task)

        def masks_of(own: Any, share: float) -> Masks:
            task.model = own  # type: ignore[misc]  # of this copy alone
            evidence = TransformerEvidence(task, anatomy, opened.task.parts[CALIBRATION], (), self._seed)
            orders = orders_of(criterion(evidence))
            for group, target in enumerate(targets):
                count = anatomy.units[group] - round((anatomy.units[group] - target) * share)
                alive = [unit for unit in orders[group].tolist() if unit in set(staying[group].tolist())]
                staying[group] = np.sort(np.array(alive[:count], dtype=np.int64))
            return _columns(anatomy, staying, own)

        share = 1 / (budget.rounds + 1)
        weights = budget.method == "rewind-weights"

        def train(own: Any, masks: Masks) -> None:
            self.train(own, masks, share)

        rewound(model, budget.rounds, masks_of, train, weights=weights)
        model.requires_grad_(requires_grad=False)
        own = [BlockPlan.keeping(staying[2 * number], staying[2 * number + 1]) for number in range(len(kept))]
        final = iter(own)
        return Narrower(model, anatomy).narrowed(own), [next(final) if plan.kept else plan for plan in plans]


def _columns(
    anatomy: Anatomy, staying: Sequence[np.ndarray[Any, np.dtype[np.int64]]], model: Any
) -> dict[str, torch.Tensor]:
    """Return which columns of the output projections are zero, because their units do not stay."""
    masks = {}
    for place in places_of(anatomy):
        gone = np.ones(anatomy.units[place.group], dtype=bool)
        gone[staying[place.group]] = False
        own = torch.from_numpy(gone[place.start : place.start + place.units]).repeat_interleave(place.width)
        weight = model.get_submodule(place.path).weight
        masks[f"{place.path}.weight"] = own.to(weight.device).expand_as(weight)
    return masks
