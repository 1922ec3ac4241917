"""What an audit of a front of transformers is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emoprune.contracts import AuditMethod, FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.language.texts import SOURCE_TEXT
from emoprune.problems.networks.criteria.scoring import group_scores
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust, Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.genes import Orders
from emoprune.problems.networks.transformers.measures import SeenTransformer
from emoprune.problems.networks.transformers.prepare import orders_of
from emoprune.problems.networks.transformers.running.runner import Runner
from emoprune.problems.networks.transformers.tasks.opening import Opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.scoring import scores_of_model

__all__ = ["TransformerAudit", "TransformerFront"]


@dataclass(frozen=True, slots=True, eq=False)
class TransformerFront:
    """Candidates along a front, and what can be asked of them.

    Attributes:
        plans: What each candidate keeps, one plan per layer, by its number.
        opened: The unpruned model in eval mode, its task, its data by part, and batches to train on.
        criterion: What ranked the units.
        narrower: Cuts candidates out of the unpruned model, as they were measured.
        device: Where models and batches are put.
        options: Those of the problem that model and data come from.
        quality: What says how good a model is: a measure with its name and its direction.
        seen: Returns a model with some plans on some batches, as measures see it that run it themselves.
        seed: Where all randomness comes from.
        folder: Where what takes long may be kept, for an audit that is asked again.
        adjust: Returns what repairs narrowed layers, None if nothing does; may take a pass of the calibration batches.

    Raises:
        ConfigError: There are fewer than two candidates.
    """

    plans: Mapping[int, Sequence[BlockPlan]]
    opened: Opened
    criterion: TransformerCriterion
    narrower: Narrower
    device: str
    options: TransformerOptions
    quality: Quality
    seen: Callable[[Any, Sequence[BlockPlan], Sequence[Batch]], SeenTransformer]
    seed: int
    folder: Path
    adjust: Callable[[], Adjust | None]
    _read: dict[str, Sequence[Batch]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.plans) < 2:
            raise ConfigError(
                f"audit: expected at least 2 candidates beside the unpruned model, found {len(self.plans)}"
            )

    def elsewhere(self, name: str | None) -> dict[str, Sequence[Batch]]:
        """Return batches of other data by its name; None is Python's own source code for a language model, else none.

        Raises:
            ConfigError: There is no such data, or it has other classes.
        """
        if name is None and self.options.task == "language-modelling":
            name = SOURCE_TEXT
        if name is None:
            return {}
        if name not in self._read:
            self._read[name] = other_batches(self.opened, self.options, name)
        return {name: self._read[name]}

    def orders(self, batches: Sequence[Batch]) -> Orders:
        """Return how the criterion ranks the unpruned model's units, calibrated on these batches."""
        own = [batch.on(self.device) for batch in batches]
        evidence = TransformerEvidence(self.opened.task, self.opened.anatomy, own, (), self.seed)
        anatomy = self.opened.anatomy
        whole = all(
            block.attention.whole_groups(plan.heads)
            for plans in self.plans.values()
            for block, plan in zip(anatomy.blocks, plans, strict=True)
        )
        return orders_of(group_scores(self.criterion, evidence, anatomy.units), anatomy if whole else None)

    def values(self, part: str, batches: Sequence[Batch] | None = None) -> FloatArray:
        """Return the quality of the unpruned model and then of each candidate, shape (1 + candidates,).

        Args:
            part: search, select or test; any name with `batches`.
            batches: Other data than the part's own.
        """
        own = [batch.on(self.device) for batch in batches or self.opened.task.parts[part]]
        whole = [self.opened.anatomy.whole(number) for number in range(len(self.opened.anatomy.blocks))]
        name, models = self.quality.name, (whole, *self.plans.values())
        if name not in self.opened.task.scored:
            return np.array([self.quality.of(self.seen(self.narrower.narrowed(each), each, own)) for each in models])
        runner = Runner(self.narrower, {part: own}, self.options.cache_megabytes * 2**20)
        judge = self.opened.task.judge(self.narrower, {part: own})
        return np.array([judge.scores(runner.hidden(each, part), part, frozenset({name}))[name] for each in models])

    def value(self, model: Any, plans: Sequence[BlockPlan]) -> float:
        """Return the quality of a model with these plans, as it is, on the test part."""
        name = self.quality.name
        if name in self.opened.task.scored:
            return scores_of_model(self.opened, model, "test", frozenset({name}), device=self.device)[name]
        batches = [batch.on(self.device) for batch in self.opened.task.parts["test"]]
        return self.quality.of(self.seen(model, plans, batches))


class TransformerAudit(AuditMethod[TransformerFront], Protocol):
    """Says whether a front of transformers can be believed."""
