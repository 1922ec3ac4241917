"""Layers rounded where the loss changes least to first order, for the bytes that it saves."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emoprune.contracts import FloatArray, Found, about
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs, Tensors
from emoprune.problems.networks.layers.references.targets import AtBytes
from emoprune.problems.networks.layers.treatments.levels import LayerLevels, going_down
from emoprune.space import IntArray

__all__ = ["FirstOrder", "first_order_harm", "least_harm_first"]


@about(
    "quantisation",
    ["layers"],
    serves=("bit-widths", "transformer-bit-widths"),
    cost="one gradient of the calibration loss, and every layer rounded once at each level",
    gradients=True,
)
@dataclass(frozen=True, slots=True)
class FirstOrder(AtBytes):
    """Genomes in which rounding does the least harm for the bytes it saves, by the sum of |gradient x change|."""

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target that can be reached."""
        harm = first_order_harm(inputs.levels, inputs.weights, inputs.gradients())
        return self.along("first-order", inputs, least_harm_first(inputs.levels, harm))


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
    return going_down(levels, steps)


def first_order_harm(levels: LayerLevels, weights: Tensors, gradients: Tensors) -> list[FloatArray]:
    """Return by how much the loss may change to first order, sum |gradient x change|, by layer at its levels."""
    harm = []
    for part, table in zip(levels.parts, levels.table, strict=True):
        weight, gradient = weights[part.path], gradients[part.path]
        treated = [levels.treatment.treated(part, weight, torch.empty(0), level) for level in table.tolist()]
        harm.append(np.array([float((gradient * (own - weight)).abs().double().sum()) for own in treated]))
    return harm
