"""K-prune's own search: sub-layer by sub-layer from the first to the last, pruned and repaired before the next one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.criteria.k_prune import KPrune
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.repair.sequential import fit_projection, wanted_outputs, watched_layer
from emoprune.problems.networks.transformers.running.passing import calls_of
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.space import IntArray

__all__ = ["k_pruned"]


def k_pruned(
    opened: Opened, costs: Sequence[Scores], share: float, seed: int, together: Sequence[int] | None = None
) -> tuple[Any, list[BlockPlan]]:
    """Return a narrowed model that keeps at most `share` of what its units cost, and its plans.

    Before each sub-layer the knowledge of all units from there on is measured on the model as it is by then; one
    threshold on knowledge per cost says what of that sub-layer stays within the budget that is left; then its output
    projection is fitted to what flows on in the unpruned model. Source: Park et al., Accurate Retraining-free Pruning
    for Pretrained Encoder-based Language Models (K-prune), arXiv 2308.03449; what predictive knowledge is measured by
    is said at the criterion. Only for layers with one feed-forward network.

    Args:
        opened: The unpruned model and calibration batches, on the CPU.
        costs: Of each unit, by group.
        share: Of the sum of all costs.
        seed: What the criterion draws from.
        together: For each group how many units that follow each other go or stay together; one unless said.
    """
    anatomy, task = opened.anatomy, copy.copy(opened.task)
    model = trainable(opened.task.model).requires_grad_(requires_grad=False)
    task.model = model  # type: ignore[misc]  # of this copy alone
    kept: list[IntArray] = [np.arange(units) for units in anatomy.units]
    left = share * float(sum(own.sum() for own in costs))
    batches = opened.task.parts[CALIBRATION]
    masks = [batch.mask for batch in batches]
    theirs, mine = opened.narrower(), Narrower(model, anatomy)
    calls = [(calls_of(theirs, batch.inputs), calls_of(mine, batch.inputs)) for batch in batches]
    taught, states = [one.hidden for one, _ in calls], [other.hidden for _, other in calls]
    whole, blocks = (each.model.get_submodule(anatomy.path) for each in (theirs, mine))
    for number, block in enumerate(anatomy.blocks):
        lesson = watched_layer(whole[number], block, number, [one for one, _ in calls], taught)
        for group in (2 * number, 2 * number + 1):
            scores = KPrune()(TransformerEvidence(task, anatomy, batches, costs, seed))
            kept[group] = _staying(scores, costs, group, left, together or [1] * len(costs))
            left -= float(costs[group][kept[group]].sum())
            found = watched_layer(blocks[number], block, number, [other for _, other in calls], states)
            if group % 2 == 0:
                path, inputs = block.attention.output, found.attention[0]
                wanted = wanted_outputs(lesson.attention[1], lesson.taken, found.taken)
                width = block.attention.width
            else:
                path, inputs = block.feed_forwards[0].output, found.feed_forward[0]
                wanted = wanted_outputs(lesson.feed_forward[1], lesson.beside, found.beside)
                width = 1
            columns = (kept[group][:, np.newaxis] * width + np.arange(width)).reshape(-1)
            fit_projection(blocks[number].get_submodule(path), inputs, wanted, masks, torch.from_numpy(columns))
        states = watched_layer(blocks[number], block, number, [other for _, other in calls], states).given
        taught = lesson.given
    plans = [BlockPlan.keeping(kept[2 * number], kept[2 * number + 1]) for number in range(len(anatomy.blocks))]
    return Narrower(model, anatomy).narrowed(plans), plans


def _staying(
    scores: Sequence[Scores], costs: Sequence[Scores], group: int, left: float, together: Sequence[int]
) -> IntArray:
    """Return the units of a group above the lowest threshold at which all groups from it on fit what is left."""

    def by_bundle(values: Sequence[Scores]) -> Scores:
        pairs = zip(values[group:], together[group:], strict=True)
        return np.concatenate([own.reshape(-1, size).sum(axis=1) for own, size in pairs])

    price = by_bundle(costs)
    order = np.argsort(-by_bundle(scores) / price, kind="stable")
    fitting = int(np.searchsorted(np.cumsum(price[order]), left, side="right"))
    size = together[group]
    chosen = np.sort(order[:fitting][order[:fitting] < len(scores[group]) // size])
    return (chosen[:, np.newaxis] * size + np.arange(size)).reshape(-1).astype(np.int64)
