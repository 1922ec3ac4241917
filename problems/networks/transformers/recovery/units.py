"""Heads and neurons that are pruned in rounds, while the model is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from emoprune.problems.networks.criteria.scoring import group_scores
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.masks.contract import Maskable
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import places_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.prepare import orders_of
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["UnitRounds"]


class UnitRounds:
    """Keeps as many heads and neurons in each layer as a candidate; which ones, the criterion decides in each round.

    Layers that the candidate drops are gone from the start.

    Args:
        opened: The unpruned model and its data.
        plans: What the candidate keeps.
        criterion: Ranks the units of the model as it is trained by then.
        seed: What the criterion draws from.
    """

    def __init__(self, opened: Opened, plans: Sequence[BlockPlan], criterion: TransformerCriterion, seed: int) -> None:
        opened.anatomy.check_one_stack("method")
        layers = [opened.anatomy.whole(number) if plan.kept else plan for number, plan in enumerate(plans)]
        self.model: Any = trainable(opened.narrower().narrowed(layers))
        self._plans, self._criterion, self._seed = plans, criterion, seed
        self._task, self._batches = copy.copy(opened.task), opened.task.parts[CALIBRATION]
        self._task.model = self.model  # type: ignore[misc]  # of this copy alone
        kept = [(block, plan) for block, plan in zip(opened.anatomy.blocks, plans, strict=True) if plan.kept]
        self._anatomy = Anatomy(opened.anatomy.path, tuple(block for block, _ in kept), opened.anatomy.hidden)
        self._targets = [len(units) for _, plan in kept for units in (plan.heads, plan.neurons)]
        self._staying = [np.arange(units) for units in self._anatomy.units]
        self._together = [own for block, _ in kept for own in (block.attention.group, 1)]
        if not all(block.attention.whole_groups(plan.heads) for block, plan in kept):
            self._together = [1] * len(self._targets)

    def masks(self, share: float) -> Masks:
        """Return which columns of the output projections are zero, because their units do not stay."""
        evidence = TransformerEvidence(self._task, self._anatomy, self._batches, (), self._seed)
        scores = group_scores(self._criterion, evidence, self._anatomy.units)
        orders = orders_of(scores, self._anatomy if max(self._together) > 1 else None)
        for group, target in enumerate(self._targets):
            units, before = self._anatomy.units[group], set(self._staying[group].tolist())
            alive = [unit for unit in orders[group].tolist() if unit in before]
            together = self._together[group]
            staying = units - round((units - target) / together * share) * together
            self._staying[group] = np.sort(np.array(alive[:staying], dtype=np.int64))
        return self._columns()

    def maskables(self) -> list[Maskable]:
        """Return the groups of units that get smaller; heads that share a key and value are one thing."""
        found: dict[int, dict[str, torch.Tensor]] = {}
        for place in places_of(self._anatomy):
            things = torch.arange(place.start, place.start + place.units) // self._together[place.group]
            channels = things.repeat_interleave(place.width).view(1, -1)
            found.setdefault(place.group, {})[f"{place.path}.weight"] = channels
        made = []
        for group, members in found.items():
            units, together = self._anatomy.units[group], self._together[group]
            if 0 < self._targets[group] < units:
                name = ", ".join(members)
                made.append(Maskable(name, members, 1, units // together, self._targets[group] // together))
        return made

    def decide(self, stays: Sequence[torch.Tensor]) -> Masks:
        """Take which units stay, and return which columns of the output projections are zero.

        Of a group of which nothing stays, nothing was asked.
        """
        chosen = iter(stays)
        for group, target in enumerate(self._targets):
            if target == 0:
                self._staying[group] = np.zeros(0, dtype=np.int64)
            elif target < self._anatomy.units[group]:
                things = next(chosen).flatten().cpu().numpy()
                self._staying[group] = np.flatnonzero(np.repeat(things, self._together[group]))
        return self._columns()

    def remembered(self) -> Mapping[str, torch.Tensor]:
        """Return which units of each group stay."""
        return {f"{group:04}": torch.from_numpy(own) for group, own in enumerate(self._staying)}

    def remind(self, remembered: Mapping[str, torch.Tensor]) -> None:
        """Take back which units stay."""
        self._staying = [remembered[name].cpu().numpy() for name in sorted(remembered)]

    def _columns(self) -> Masks:
        masks = {}
        for place in places_of(self._anatomy):
            gone = np.ones(self._anatomy.units[place.group], dtype=bool)
            gone[self._staying[place.group]] = False
            own = torch.from_numpy(gone[place.start : place.start + place.units]).repeat_interleave(place.width)
            weight = self.model.get_submodule(place.path).weight
            masks[f"{place.path}.weight"] = own.to(weight.device).expand_as(weight)
        return masks

    def recovered(self) -> tuple[Any, list[BlockPlan]]:
        """Return the narrowed model, and its plans."""
        self.model.requires_grad_(requires_grad=False)
        pairs = zip(self._staying[::2], self._staying[1::2], strict=True)
        own = [BlockPlan.keeping(heads, neurons) for heads, neurons in pairs]
        final = iter(own)
        return Narrower(self.model, self._anatomy).narrowed(own), [
            next(final) if plan.kept else plan for plan in self._plans
        ]
