"""The weights of layers as things that soft masks act on, as many of them as levels of a treatment keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.patterns import Patterns, incoming_axis
from emoprune.problems.networks.layers.treatments.repaired import Repaired
from emoprune.problems.networks.recovery.masks.contract import Maskable
from emoprune.space import IntArray

__all__ = ["maskable_layers", "plain_treatment"]


def maskable_layers(levels: LayerLevels, wanted: IntArray) -> list[Maskable]:
    """Return the layers that are pruned at levels of the treatment, shape (layers,), each with what stays of it."""
    return list(_each(levels, wanted))


def plain_treatment(levels: LayerLevels) -> Treatment:
    """Return what zeroes weights, without the repair that may follow it: training makes up for what goes."""
    return levels.treatment.base if isinstance(levels.treatment, Repaired) else levels.treatment


def _each(levels: LayerLevels, wanted: IntArray) -> Iterator[Maskable]:
    for row, ((part, shape), level) in enumerate(zip(levels.layers, wanted.tolist(), strict=True)):
        if level == levels.highest:
            continue
        treatment = plain_treatment(levels)
        if isinstance(treatment, Patterns):
            yield _patterned(part, shape, treatment.m, level + 1)
        else:
            total = torch.Size(shape).numel()
            members = {f"{part.path}.weight": torch.arange(total).view(shape)}
            yield Maskable(part.path, members, 1, total, int(levels.nonzeros[row, level]))


def _patterned(part: Part, shape: Sequence[int], m: int, n: int) -> Maskable:
    """Return the N of every M of a layer; the last few incoming channels, where they are no multiple, are in none."""
    axis = incoming_axis(part)
    inside = shape[axis] // m * m
    index = torch.full(tuple(shape), -1)
    patterned = index.movedim(axis, -1)[..., :inside]
    patterned.copy_(torch.arange(patterned.numel()).view(patterned.shape))
    return Maskable(part.path, {f"{part.path}.weight": index}, patterned.numel() // m, m, n)
