"""What is done to a narrowed layer's weights: repaired, rounded, both in this order, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import left_alone
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import Block, BlockPlan
from emoprune.problems.networks.transformers.cost import linear_part
from emoprune.problems.networks.transformers.export.tensors import PackedLayer
from emoprune.problems.networks.transformers.repair.contract import RepairInputs, TransformerCompensation
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["checked_bits", "packed_layers", "repairing", "rounding"]


def checked_bits(bits: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of bits to choose from; none if there is no choice.

    Raises:
        ConfigError: They do not rise from 2 or more to 8 and then 32.
    """
    return Rounding.of(bits).bits if bits else ()


def repairing(compensation: TransformerCompensation, inputs: RepairInputs) -> Adjust:
    """Return what repairs narrowed layers; it raises a ContractError where its tensors are none of a layer's.

    Raises:
        ContractError: Making it changed the unpruned model.
    """
    model, path = inputs.evidence.model, inputs.evidence.structure.path
    with left_alone("compensation", model):
        repaired = compensation(inputs)

    def adjust(number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        changed = repaired(number, plan, tensors)
        _check(changed, {**dict(model.get_submodule(f"{path}.{number}").named_parameters()), **tensors}, number)
        return changed

    return adjust


def _check(changed: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor], number: int) -> None:
    for name, tensor in changed.items():
        if name not in there:
            raise ContractError(f"repair: layer {number}: expected tensors of {', '.join(there)}, found {name!r}")
        if tensor.shape != there[name].shape:
            expected, found = (tuple(own.shape) for own in (there[name], tensor))
            raise ContractError(f"repair: layer {number}: {name}: expected the shape {expected}, found {found}")


def rounding(opened: Opened, repaired: Adjust | None) -> Adjust:
    """Return what repairs narrowed layers, if anything does, and then rounds them to their plans' bits."""
    blocks: Any = opened.task.model.get_submodule(opened.anatomy.path)

    def adjust(number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        changed = {**tensors, **(repaired(number, plan, tensors) if repaired is not None else {})}
        return changed if plan.bits == 32 else _rounded(blocks[number], opened.anatomy.blocks[number], plan, changed)

    return adjust


def _rounded(
    block: nn.Module, anatomy: Block, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the tensors of a layer with all weights of its linear layers rounded to the plan's bits."""
    made, own = dict(tensors), anatomy.attention
    coded = Rounding((plan.bits, 32))
    for path, module in block.named_modules():
        gone = not len(plan.heads) and path.startswith(f"{own.path}.") and path != own.output
        if isinstance(module, nn.Linear) and not gone:
            name = f"{path}.weight"
            weight = made.get(name, module.weight.detach())
            if weight.numel():
                made[name] = coded.treated(linear_part(path), weight, torch.empty(0), 0)
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
