"""What a user would have picked without a search, as genomes at some percentages of the unpruned model's cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Reference
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.criteria.ranking import normalised
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.genes import GeneLayout, Orders
from emoprune.space import IntArray

__all__ = ["METHODS", "PERCENTAGES", "ReferenceInputs", "check_percentages", "references_of"]

PERCENTAGES = (90, 80, 70, 50)
HALVINGS = 24
HEADS_GONE = (20, 40, 60)  # percent of all heads that greedy-heads takes away


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """What the methods may look at.

    `scores` are the criterion's by group, `gates` those of `head-gates`, `magnitudes` and `costs` alike; `influence`
    says how much each layer changes what flows through it; `cost` names what the percentages are of.
    """

    layout: GeneLayout
    cost_model: CostModel
    orders: Orders
    scores: Sequence[Scores]
    gates: Sequence[Scores]
    magnitudes: Sequence[Scores]
    costs: Sequence[Scores]
    influence: Scores
    rng: np.random.Generator
    cost: str = "parameters"
    percentages: Sequence[int] = PERCENTAGES

    def share(self, genome: IntArray) -> float:
        """Return what a genome costs, of the unpruned one."""
        whole = self.cost_model.counted(self.layout.decode(self.layout.space.full, self.orders))[self.cost]
        return self.cost_model.counted(self.layout.decode(genome, self.orders))[self.cost] / whole


Found = Iterator[tuple[str, IntArray]]


def _largest_within(
    inputs: ReferenceInputs, genome_at: Callable[[float], IntArray], percentage: int
) -> IntArray | None:
    """Return the genome at the highest position from 0 to 1 that costs at most so much; None if none does."""
    low, high = 0.0, 1.0
    if inputs.share(genome_at(0.0)) > percentage / 100:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if inputs.share(genome_at(middle)) <= percentage / 100 else (low, middle)
    return genome_at(low)


def _uniform(inputs: ReferenceInputs) -> Found:
    units = np.array(inputs.layout.anatomy.units)
    yield from _at_percentages(
        inputs,
        "uniform",
        lambda position: inputs.layout.encode(np.round(units * position).astype(int).tolist(), inputs.orders),
    )


def _global(inputs: ReferenceInputs, name: str, scores: Sequence[Scores]) -> Found:
    """One threshold on score per parameter over the units of all layers."""
    groups = np.repeat(np.arange(len(scores)), [len(own) for own in scores])
    worth = np.concatenate([own / cost for own, cost in zip(scores, inputs.costs, strict=True)])
    best = groups[np.argsort(-worth, kind="stable")]

    def genome_at(position: float) -> IntArray:
        counts = np.bincount(best[: round(position * len(best))], minlength=len(scores))
        return inputs.layout.encode(counts.tolist(), inputs.orders)

    yield from _at_percentages(inputs, name, genome_at)


def _criterion(inputs: ReferenceInputs) -> Found:
    yield from _global(inputs, "global-criterion", inputs.scores)


def _magnitude(inputs: ReferenceInputs) -> Found:
    yield from _global(inputs, "global-magnitude", [normalised(own) for own in inputs.magnitudes])


def _random(inputs: ReferenceInputs) -> Found:
    yield from _global(
        inputs, "random", [inputs.rng.random(len(own)) * inputs.costs[n] for n, own in enumerate(inputs.scores)]
    )


def _greedy_heads(inputs: ReferenceInputs) -> Found:
    """Heads taken away one after the other, the least important of all layers first; one stays in each layer.

    Source: Are Sixteen Heads Really Better than One?, arXiv 1905.10650; scores are computed once.
    """
    heads = [
        (float(own[unit]), group, unit)
        for group, own in enumerate(inputs.gates)
        if group % 2 == 0
        for unit in range(len(own))
    ]
    for percent in HEADS_GONE:
        counts = list(inputs.layout.anatomy.units)
        for _, group, _unit in sorted(heads)[: len(heads) * percent // 100]:
            counts[group] = max(1, counts[group] - 1)
        yield f"greedy-heads-{percent}-gone", inputs.layout.encode(counts, inputs.orders)


def _dropped_layers(inputs: ReferenceInputs) -> Found:
    """Whole layers taken away, those first that change least what flows through them.

    Source of the order: Men et al., ShortGPT: Layers in Large Language Models are More Redundant Than You Expect, arXiv
    2403.03853.
    """
    if not inputs.layout.drop_layers:
        return
    units = inputs.layout.anatomy.units
    order = np.argsort(inputs.influence, kind="stable")
    number = len(order)

    def genome_at(position: float) -> IntArray:
        gone = set(order[: number - max(1, round(position * number))].tolist())
        return inputs.layout.encode(units, inputs.orders, [each not in gone for each in range(number)])

    yield from _at_percentages(inputs, "dropped-layers", genome_at)


def _at_percentages(inputs: ReferenceInputs, name: str, genome_at: Callable[[float], IntArray]) -> Found:
    for percentage in inputs.percentages:
        genome = _largest_within(inputs, genome_at, percentage)
        if genome is not None:
            yield f"{name}-{percentage}", genome


METHODS: Mapping[str, Callable[[ReferenceInputs], Found]] = {
    "uniform": _uniform,
    "global-criterion": _criterion,
    "global-magnitude": _magnitude,
    "greedy-heads": _greedy_heads,
    "dropped-layers": _dropped_layers,
    "random": _random,
}


def check_percentages(percentages: Sequence[int]) -> None:
    """Refuse percentages that are none, or all.

    Raises:
        ConfigError: There is one.
    """
    if any(not 0 < percentage < 100 for percentage in percentages):
        raise ConfigError(f"percentages: expected whole numbers from 1 to 99, found {list(percentages)}")


def references_of(names: Sequence[str], inputs: ReferenceInputs) -> tuple[Reference, ...]:
    """Return the unpruned genome, and what the methods pick; every genome once, under the first name it got."""
    space = inputs.layout.space
    first: dict[bytes, Reference] = {}
    made = [Reference("unpruned", space.full)]
    for name in names:
        for label, genome in METHODS[name](inputs):
            if space.legal(genome)[0]:
                made.append(Reference(label, inputs.layout.canonical(genome[np.newaxis])[0]))
    for reference in made:
        first.setdefault(space.key(reference.genome), reference)
    return tuple(first.values())
