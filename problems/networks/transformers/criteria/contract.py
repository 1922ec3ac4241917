"""What a criterion for transformers may look at, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.contract import Task

__all__ = ["Scores", "TransformerCriterion", "TransformerEvidence"]


@dataclass(frozen=True, slots=True, eq=False)
class TransformerEvidence:
    """The unpruned model in eval mode, where its units lie, calibration batches, the task's losses, and a seed.

    Nothing of it may be left changed. `costs` are each unit's parameters, shape (units,), by group.
    """

    task: Task
    structure: Anatomy
    calibration: Sequence[Batch]
    costs: Sequence[Scores]
    seed: int

    @property
    def model(self) -> Any:
        """The unpruned model."""
        return self.task.model


class TransformerCriterion(Protocol):
    """Says which heads and neurons of each layer matter most; computed once per run and shared by every genome."""

    leaf: ClassVar[str]  # its place in the taxonomy of the surveys

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return one finite score per unit: for each layer an array for its heads and one for its neurons.

        The larger, the more a unit is worth keeping; comparable between layers and between heads and neurons if they
        are divided by the units' costs.
        """
        ...
