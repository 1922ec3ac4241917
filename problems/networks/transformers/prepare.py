"""What a run makes once and keeps: a fitted classifier, and ranked units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.criteria.scoring import group_scores
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.genes import GeneLayout, Orders
from emoprune.problems.networks.transformers.tasks.fitting import fit_classifier
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.arrays import Weights, kept_arrays

__all__ = ["evidence_of", "fitted", "kept_scores", "orders_of", "smallest_plan", "unit_costs"]

CLASSIFIER, SCORES = "classifier.safetensors", "scores.safetensors"


def orders_of(scores: Sequence[Scores], anatomy: Anatomy | None = None) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the units of each group, the highest score first; of equal ones the first.

    Args:
        scores: Shape (units,) for each group: heads and neurons of each layer in turn.
        anatomy: If given, the query heads of one key and value stand together, those with the highest sum first.
    """
    orders = [np.argsort(-own, kind="stable") for own in scores]
    for number, block in enumerate(() if anatomy is None else anatomy.blocks):
        sums = scores[2 * number].reshape(-1, block.attention.group).sum(axis=1)
        places = np.argsort(np.argsort(-sums, kind="stable"), kind="stable")
        own = orders[2 * number]
        orders[2 * number] = own[np.argsort(places[own // block.attention.group], kind="stable")]
    return orders


def fitted(opened: Opened, folder: Path) -> dict[str, torch.Tensor]:
    """Fit the classifier of a model that has none, or take it from `folder`; return the weights that this changed."""
    if not opened.unfitted:
        return {}
    model = opened.task.model

    def made() -> Weights:
        fit_classifier(model, opened.train)
        own = {name: each for name, each in model.state_dict().items() if name.startswith("classifier.")}
        return {name: each.detach().cpu().numpy() for name, each in own.items()}

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: torch.from_numpy(own.copy()) for name, own in kept_arrays(folder / CLASSIFIER, made).items()}
    model.load_state_dict(weights, strict=False)
    return weights


def unit_costs(opened: Opened) -> list[Scores]:
    """Return the parameters that go with each unit, by group; shared keys and values are split among queries."""
    anatomy, costs = opened.anatomy, []
    blocks = opened.task.model.get_submodule(anatomy.path)
    for block, own in zip(anatomy.blocks, blocks, strict=True):
        attention = block.attention
        query, key = own.get_submodule(attention.query), own.get_submodule(attention.key)
        output = own.get_submodule(attention.output)
        per_head = attention.width * (query.in_features + output.out_features + 2 * key.in_features / attention.group)
        costs.append(np.full(attention.heads, float(per_head)))
        neurons = [
            np.full(
                each.neurons, float(sum(own.get_submodule(path).in_features for path in each.inputs) + anatomy.hidden)
            )
            for each in block.feed_forwards
        ]
        costs.append(np.concatenate(neurons))
    return costs


def kept_scores(opened: Opened, criterion: TransformerCriterion, folder: Path, seed: int) -> tuple[Scores, ...]:
    """Return the criterion's scores by group of units, computed and kept in `folder` at first.

    Kept, because a resume on another machine must not rank two nearly equal units the other way round.
    """

    def scored() -> Weights:
        scores = group_scores(criterion, evidence_of(opened, seed), opened.anatomy.units)
        return {f"{number:04}": own for number, own in enumerate(scores)}

    kept = kept_arrays(folder / SCORES, scored)
    return tuple(kept[name] for name in sorted(kept))


def evidence_of(opened: Opened, seed: int) -> TransformerEvidence:
    """Return what criteria look at."""
    return TransformerEvidence(opened.task, opened.anatomy, opened.task.parts[CALIBRATION], unit_costs(opened), seed)


def smallest_plan(layout: GeneLayout, orders: Orders) -> list[BlockPlan]:
    """Return the plans of the smallest genome that the floors allow: all but one layer gone, if layers can go."""
    number = len(layout.anatomy.blocks)
    kept = [each == number - 1 for each in range(number)] if layout.drop_layers else None
    genome = layout.encode([0] * len(layout.anatomy.groups), orders, kept)
    genome[layout.coding] = 0
    return layout.decode(genome, orders)
