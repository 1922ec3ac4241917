"""What a recovery of a pruned transformer is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from emoprune.contracts import Recovery
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.masks.contract import SoftMask
from emoprune.problems.networks.recovery.masks.training import MaskableRounds, train_with_masks
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.rounds.stage import best_stage
from emoprune.problems.networks.recovery.rounds.trainer import Course, Rounds, train_in_rounds
from emoprune.problems.networks.recovery.spent import Spent
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.recovery.lessons import TextLessons
from emoprune.problems.networks.transformers.recovery.loop import Loss, train_model
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.tasks.scoring import scores_of_model

__all__ = ["RecoveredModel", "RecoveryCase", "TransformerRecovery", "TransformerRounds"]


class TransformerRounds(Rounds, MaskableRounds, Protocol):
    """The unpruned model, pruned in rounds until it keeps as much as a candidate."""

    def recovered(self) -> tuple[Any, Sequence[BlockPlan]]:
        """Return the model with what is zero taken away, and what each layer keeps."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RecoveryCase:
    """A pruned candidate, what it may be trained on, and how much that may cost.

    Attributes:
        opened: The unpruned model in eval mode, its task, its data by part, and batches to train on.
        narrower: Cuts candidates out of the unpruned model, repaired or with weights zeroed as they are measured.
        plans: What the candidate keeps, one per layer.
        plan: How long and how fast is trained: epochs over the training part, and the highest learning rate.
        device: Where models and batches are put.
        seed: Where all randomness comes from.
        zeros: Returns what of a candidate's model is zero and has to stay so.
        rounds: Returns the unpruned model, to be pruned once more in rounds.
        folder: Where a training in rounds keeps its states and is resumed from; None keeps them in memory.
        macs: Multiply-accumulates of one example through the unpruned model.
    """

    opened: Opened
    narrower: Narrower
    plans: Sequence[BlockPlan]
    plan: Plan
    device: str
    seed: int
    zeros: Callable[[Any], Masks]
    rounds: Callable[[], TransformerRounds]
    folder: Path | None = None
    macs: float = 0.0

    def model(self) -> Any:
        """Return the pruned model in eval mode, with tensors of its own that take gradients."""
        return trainable(self.narrower.narrowed(self.plans))

    def loss(self, model: Any, batch: Batch) -> tuple[torch.Tensor, int]:
        """Return the task's own loss of a batch, summed, in nats, and over how many it is summed."""
        return self.opened.task.loss(model, batch), self.opened.task.numbers(batch)

    def train(
        self,
        model: Any,
        by: str,
        *,
        loss: Loss | None = None,
        masks: Masks | None = None,
        share: float = 1.0,
        within: Callable[[Any], Any] = lambda model: model,
    ) -> Spent:
        """Train a model in place on the training part; of all its states the one with the least loss on select stays.

        Args:
            model: Its parameters that take gradients are trained.
            by: The recovery's name, for log lines.
            loss: What is minimised; the task's own unless said.
            masks: What stays zero.
            share: Of the plan's epochs.
            within: Returns the transformer that is scored, of a model around it.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        return train_model(
            model,
            [batch.on(self.device) for batch in self.opened.train],
            loss or self.loss,
            replace(self.plan, epochs=self.plan.epochs * share),
            self.seed,
            score=lambda own: self._score(within(own)),
            masks=masks,
            label=f"recovery by {by}",
        )

    def lessons(self) -> TextLessons:
        """Return the training batches, the plan, and the score on select, as what trains in rounds is given them."""
        batches = [batch.on(self.device) for batch in self.opened.train]
        return TextLessons(batches, self.loss, self.plan, self._score)

    def in_rounds(self, course: Course, by: str) -> RecoveredModel:
        """Return the model that was pruned and trained in rounds, which go on where they were once interrupted.

        Args:
            course: How the rounds go.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        pruned = self.rounds()
        spent = train_in_rounds(pruned, self.lessons(), course, self.seed, **self._kept(f"{by} {course}", by))
        return RecoveredModel(*pruned.recovered(), spent)

    def under_masks(self, mask: SoftMask, hard: float, by: str) -> RecoveredModel:
        """Return the model that was trained under masks, as much of it as the candidate keeps.

        Args:
            mask: Which of it.
            hard: The share of the epochs after the mask has become hard.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        pruned, kept = self.rounds(), self._kept(f"{by} {mask} {hard}", by)
        spent = train_with_masks(pruned, mask, self.lessons(), self.seed, hard=hard, **kept)
        return RecoveredModel(*pruned.recovered(), spent)

    def in_one_stage(self, wrapped: Callable[[Lessons], Lessons], by: str) -> RecoveredModel:
        """Return the pruned model trained through one schedule, its zeros kept, as it was best on select.

        Args:
            wrapped: Returns what it is trained with, of the case's own lessons.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        model, label = self.model(), f"recovery by {by}"
        lessons, masks = wrapped(self.lessons()), self.zeros(model)
        spent = best_stage(model, lessons, self.seed, masks=masks, macs=self.macs, label=label)
        return RecoveredModel(model, self.plans, spent)

    def _kept(self, how: str, by: str) -> dict[str, Any]:
        """Return where states are kept and under which key, what an example costs, and how log lines begin."""
        key = f"{how} {self.plan} {self.seed}"
        return {"folder": self.folder, "key": key, "macs": self.macs, "label": f"recovery by {by}"}

    def _score(self, model: Any) -> float:
        return scores_of_model(self.opened, model, "select", frozenset({"loss"}), device=self.device)["loss"]


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredModel:
    """A model in eval mode, what it keeps of each layer, and what it took."""

    model: Any
    plans: Sequence[BlockPlan]
    spent: Spent = Spent(0, 0, 0.0)  # noqa: RUF009  # a frozen record


class TransformerRecovery(Recovery[RecoveryCase, RecoveredModel], Protocol):
    """Wins back what pruning a transformer cost; the unpruned model stays as it was."""
