"""A task with all that belongs to it: the model's anatomy, where it came from, what it is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust, Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.contract import Task
from emoprune.problems.networks.transformers.tasks.labels import Classes

__all__ = ["Opened"]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A task, its model's anatomy and source, batches to train on, and whether a classifier is still to be fitted.

    `classes` are a classifier's; `notes` say what a person should know of model and data, a paragraph each.
    """

    task: Task
    anatomy: Anatomy
    loaded: LoadedModel
    train: tuple[Batch, ...]
    unfitted: bool
    classes: Classes | None = None
    notes: tuple[str, ...] = ()

    def narrower(self, adjust: Adjust | None = None) -> Narrower:
        """Return what cuts models out of the unpruned one."""
        return Narrower(self.task.model, self.anatomy, adjust)

    @property
    def cost_model(self) -> CostModel:
        """Return what counts the costs of plans."""
        return CostModel(self.task.model, self.anatomy, self.task.sized(1, self.task.tokens), self.task.tokens)
