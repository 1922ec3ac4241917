"""How many bits each layer would get from a user without a search."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from emoprune.contracts import FloatArray, Reference
from emoprune.problems.networks.layers.treatments.curves import each_once, uniform_references
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.space import IntArray

__all__ = ["PERCENTAGES", "bit_references", "first_order_harm", "largest_first", "least_harm_first"]

PERCENTAGES = (50, 25, 20, 15, 10)  # of the bytes of all layers that can be rounded

Tensors = Mapping[str, torch.Tensor]


def bit_references(levels: LayerLevels, weights: Tensors, gradients: Tensors) -> tuple[Reference, ...]:
    """Return the unpruned genome, every number of bits for all layers alike, and two orders at some percentages.

    `largest-first-P` and `first-order-P` take at most P % of the bytes of the layers that can be rounded; what an order
    cannot reach is left out. Every genome is there once.

    Args:
        levels: The layers and their levels.
        weights: The weights by layer.
        gradients: Those of the loss, in the weights' shapes.
    """
    made = [Reference("unpruned", levels.space.full), *uniform_references(levels)]
    orders = {
        "largest-first": largest_first(levels),
        "first-order": least_harm_first(levels, first_order_harm(levels, weights, gradients)),
    }
    full = int(levels.stored[:, -1].sum())
    for percentage in PERCENTAGES:
        for name, genomes in orders.items():
            within = np.flatnonzero(_stored(levels, genomes) * 100 <= percentage * full)
            if within.size:
                made.append(Reference(f"{name}-{percentage}", genomes[within[0]]))
    return each_once(made, levels.space)


def largest_first(levels: LayerLevels) -> IntArray:
    """Return the genomes from unpruned to coarsest, the layers going one level down in turn, the largest layer first.

    Shape (steps + 1, layers).
    """
    by_size = np.argsort(-levels.sizes, kind="stable").tolist()
    full = levels.space.full.tolist()
    steps = [layer for down in range(max(full)) for layer in by_size if full[layer] > down]
    return _going_down(levels, steps)


def least_harm_first(levels: LayerLevels, harm: Sequence[FloatArray]) -> IntArray:
    """Return the genomes from unpruned to coarsest, each step the one with the least harm for the bytes that it saves.

    Of equal steps the larger layer goes first. Shape (steps + 1, layers).

    Args:
        levels: The layers and their levels.
        harm: By layer, of each of its levels, shape (levels of that layer,).
    """
    queue: list[tuple[float, int, int, int]] = []

    def offer(layer: int, level: int) -> None:
        if level > 0:
            own, table = harm[layer], levels.table[layer]
            saved = levels.stored[layer, table[level]] - levels.stored[layer, table[level - 1]]
            price = float(own[level - 1] - own[level]) / float(saved)
            heapq.heappush(queue, (price, -int(levels.sizes[layer]), layer, level - 1))

    for layer, level in enumerate(levels.space.full.tolist()):
        offer(layer, level)
    steps = []
    while queue:
        _, _, layer, level = heapq.heappop(queue)
        steps.append(layer)
        offer(layer, level)
    return _going_down(levels, steps)


def first_order_harm(levels: LayerLevels, weights: Tensors, gradients: Tensors) -> list[FloatArray]:
    """Return by how much the loss may change to first order, sum |gradient x change|, by layer at its levels."""
    harm = []
    for part, table in zip(levels.parts, levels.table, strict=True):
        weight, gradient = weights[part.path], gradients[part.path]
        treated = [levels.treatment.treated(part, weight, torch.empty(0), level) for level in table.tolist()]
        harm.append(np.array([float((gradient * (own - weight)).abs().double().sum()) for own in treated]))
    return harm


def _going_down(levels: LayerLevels, steps: Sequence[int]) -> IntArray:
    down = np.zeros((len(steps) + 1, len(levels.layers)), dtype=np.int64)
    down[np.arange(1, len(steps) + 1), steps] = 1
    return levels.space.full - np.cumsum(down, axis=0)


def _stored(levels: LayerLevels, genomes: IntArray) -> IntArray:
    return np.asarray(levels.stored[np.arange(len(levels.layers)), levels.decode(genomes)].sum(axis=1))
