"""What is done to a narrowed layer's weights: repaired, rounded, both in this order, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import Block, BlockPlan
from emoprune.problems.networks.transformers.cost import linear_part
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import places_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.export.folders import PackedLayer
from emoprune.problems.networks.transformers.genes import Orders
from emoprune.problems.networks.transformers.repair.least_squares import Repairer, grams_of
from emoprune.problems.networks.transformers.repair.nested import NestedRepairer
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["Repair", "adjusting", "checked_bits", "packed_layers", "rounded"]

Repair = Literal["none", "least-squares"]


def checked_bits(bits: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of bits to choose from; none if there is no choice.

    Raises:
        ConfigError: They do not rise from 2 or more to 8 and then 32.
    """
    return Rounding.of(bits).bits if bits else ()


def adjusting(opened: Opened, repair: str, bits: Sequence[int], orders: Orders | None = None) -> Adjust | None:
    """Return what adjusts narrowed layers; the calibration batches go through the unpruned model once, if it repairs.

    Args:
        opened: The unpruned model and its data.
        repair: none or least-squares.
        bits: The numbers of bits that there are to choose from, if any.
        orders: The units of each group, if all plans keep the first ones: their repair is faster.

    Raises:
        ConfigError: There is no such repair.
    """
    if repair not in get_args(Repair):
        raise ConfigError(f"repair: expected {' or '.join(get_args(Repair))}, found {repair!r}")
    repairer = _repairer(opened, orders) if repair == "least-squares" else None
    if repairer is None and not bits:
        return None
    blocks: Any = opened.task.model.get_submodule(opened.anatomy.path)

    def adjust(number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        changed = dict(tensors) | (repairer(number, plan, tensors) if repairer else {})
        anatomy = opened.anatomy.blocks[number]
        return rounded(blocks[number], anatomy, plan, changed) if bits and plan.bits != 32 else changed

    return adjust


def _repairer(opened: Opened, orders: Orders | None) -> Repairer | NestedRepairer:
    evidence = TransformerEvidence(opened.task, opened.anatomy, opened.task.parts[CALIBRATION], (), 0)
    weights = {
        place.path: opened.task.model.get_submodule(place.path).weight.detach() for place in places_of(opened.anatomy)
    }
    grams = grams_of(evidence)
    if orders is None:
        return Repairer(opened.anatomy, grams, weights)
    return NestedRepairer(opened.anatomy, grams, weights, orders)


def rounded(
    block: nn.Module, anatomy: Block, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the tensors of a layer with all weights of its linear layers rounded to the plan's bits."""
    made, own = dict(tensors), anatomy.attention
    rounding = Rounding((plan.bits, 32))
    gone = () if len(plan.heads) else (own.query, own.key, own.value)
    for path, module in block.named_modules():
        if isinstance(module, nn.Linear) and path not in gone:
            name = f"{path}.weight"
            weight = made.get(name, module.weight.detach())
            if weight.numel():
                made[name] = rounding.treated(linear_part(path), weight, torch.empty(0), 0)
    return made


def packed_layers(opened: Opened, plans: Sequence[BlockPlan], adjust: Adjust | None) -> dict[str, PackedLayer]:
    """Return what it takes to store the rounded weights in their bits, by their names in the narrowed model.

    Args:
        opened: The unpruned model.
        plans: With the bits of each layer.
        adjust: What is done to narrowed layers before they are rounded.
    """
    plain = opened.narrower(adjust)
    found: dict[str, PackedLayer] = {}
    kept = [(number, plan) for number, plan in enumerate(plans) if plan.kept]
    for place, (number, plan) in enumerate(kept):
        if plan.bits == 32:
            continue
        for path, module in plain.block(number, plan).named_modules():
            if isinstance(module, nn.Linear) and module.weight.numel():
                name = f"{opened.anatomy.path}.{place}.{path}.weight"
                found[name] = PackedLayer(linear_part(path), Rounding((plan.bits, 32)), 0, module.weight.detach())
    return found
