"""What a run makes once and keeps: a fitted classifier, ranked units, references; and Gram matrices for repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emoprune.contracts import Reference, Starts
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.genes import GeneLayout, Orders
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.tasks.fitting import fit_classifier
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.arrays import Weights, kept_arrays
from emoprune.problems.storage.found_references import Methods, each_once, found_by
from emoprune.problems.storage.kept import kept_json
from emoprune.problems.storage.kept_references import REFERENCES, as_json, from_json

__all__ = [
    "TransformerPrepared",
    "Wanted",
    "fitted",
    "orders_of",
    "prepared_transformer",
    "reference_inputs",
    "smallest_plan",
    "unit_costs",
]

CLASSIFIER, SCORES = "classifier.safetensors", "scores.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class TransformerPrepared:
    """The criterion's scores by group of units, and the references.

    `starts` are what has to be measured for more references, by method.
    """

    scores: tuple[Scores, ...]
    references: tuple[Reference, ...]
    starts: Mapping[str, Starts]

    @property
    def orders(self) -> Orders:
        """The units of each group, the most important first."""
        return orders_of(self.scores)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which references: the methods by name, at which percentages of which cost."""

    methods: Methods
    cost: str
    percentages: Sequence[int]


def orders_of(scores: Sequence[Scores]) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the units of each group, the highest score first; of equal ones the first."""
    return [np.argsort(-own, kind="stable") for own in scores]


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


def prepared_transformer(
    opened: Opened,
    layout: GeneLayout,
    criterion: TransformerCriterion,
    wanted: Wanted,
    *,
    folder: Path,
    seed: int,
) -> TransformerPrepared:
    """Make what is not in `folder` yet, and keep it there.

    Kept, because a resume on another machine must not rank two nearly equal units the other way round.
    """
    evidence = evidence_of(opened, seed)

    def scored() -> Weights:
        return {f"{number:04}": np.asarray(own, dtype=np.float64) for number, own in enumerate(criterion(evidence))}

    kept = kept_arrays(folder / SCORES, scored)
    scores = tuple(kept[name] for name in sorted(kept))
    inputs = reference_inputs(opened, layout, scores, wanted, seed)
    plain = kept_json(folder / REFERENCES, lambda: as_json(*_first(wanted.methods, inputs)))
    references, starts = from_json(plain, layout.space)
    return TransformerPrepared(scores, references, starts)


def evidence_of(opened: Opened, seed: int) -> TransformerEvidence:
    """Return what criteria look at."""
    return TransformerEvidence(opened.task, opened.anatomy, opened.task.parts[CALIBRATION], unit_costs(opened), seed)


def reference_inputs(
    opened: Opened, layout: GeneLayout, scores: Sequence[Scores], wanted: Wanted, seed: int
) -> ReferenceInputs:
    """Return what reference methods look at."""
    return ReferenceInputs(
        opened,
        evidence_of(opened, seed),
        layout,
        opened.cost_model,
        scores,
        orders_of(scores),
        wanted.cost,
        wanted.percentages,
        np.random.default_rng(seed),
    )


def _first(methods: Methods, inputs: ReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick; and what is to be measured for more of them."""
    layout, found = inputs.layout, found_by(methods, inputs)
    references = [Reference("unpruned", layout.space.full)]
    for own in found.values():
        for each in own.references:
            genome = layout.space.check(each.genome[np.newaxis], f"reference {each.name!r}")
            references.append(Reference(each.name, layout.canonical(genome)[0]))
    starts = {name: own.starts for name, own in found.items() if own.starts}
    return each_once(references, layout.space), starts


def smallest_plan(layout: GeneLayout, orders: Orders) -> list[BlockPlan]:
    """Return the plans of the smallest genome that the floors allow: all but one layer gone, if layers can go."""
    number = len(layout.anatomy.blocks)
    kept = [each == number - 1 for each in range(number)] if layout.drop_layers else None
    genome = layout.encode([0] * len(layout.anatomy.groups), orders, kept)
    if layout.bits:
        genome[[own.stop - 1 for own in layout.slices()]] = 0
    return layout.decode(genome, orders)
