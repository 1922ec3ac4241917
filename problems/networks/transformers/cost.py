"""What a narrowed transformer costs, counted from its plans without building it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower, block_shape
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Attention, BlockPlan
from emoprune.space import IntArray

__all__ = ["CACHE", "CostModel", "linear_part"]

FLOAT = 4  # bytes
CACHE = "kv-bytes"


def linear_part(path: str, positions: int = 0) -> Part:
    """Return a linear layer as the treatments of single layers know it."""
    return Part(path, "Linear", None, None, positions=positions)


class CostModel:
    """Parameters, bytes and multiply-accumulates of a model with what plans keep of its layers.

    Of a model that generates also `kv-bytes`, once it is said how it is stored: what a cache takes for each token.

    Args:
        model: The unpruned one.
        anatomy: Where its heads and neurons are.
        inputs: One example of `tokens` tokens, on which what lies outside of the layers is counted.
        tokens: How many tokens or patches flow through the layers.
    """

    def __init__(self, model: Any, anatomy: Anatomy, inputs: Mapping[str, torch.Tensor], tokens: int) -> None:
        self._anatomy = anatomy
        self._blocks: Any = model.get_submodule(anatomy.path)
        everything = {id(own): own for own in [*model.parameters(), *_kept_buffers(model)]}.values()
        self._parameters = sum(own.numel() for own in {id(own): own for own in model.parameters()}.values())
        self._float = FLOAT
        self._floats = sum(own.numel() for own in everything if own.is_floating_point())
        self._others = sum(own.numel() * own.element_size() for own in everything if not own.is_floating_point())
        # An encoder's layers are in no cache, and those of a decoder beside it have two.
        writes = hasattr(model, "generate") and model.can_generate()
        self._generates, self._caches = writes and not model.config.is_encoder_decoder, False
        self._outside = _macs_outside(model, anatomy, inputs)
        self._sizes = _sizes(model, anatomy, inputs, tokens)
        self._whole = [sum(own.numel() for own in block.parameters()) for block in self._blocks]
        self._known: dict[Hashable, dict[str, float]] = {}

    def store_as(self, dtype: torch.dtype) -> None:
        """Count from now on for weights that are stored, and keys and values that are cached, as numbers of `dtype`."""
        self._float, self._caches, self._known = dtype.itemsize, self._generates, {}

    def counted(self, plans: Sequence[BlockPlan]) -> dict[str, float]:
        """Return `macs` of one example, `parameters`, `bytes` and perhaps `kv-bytes` of the model with these plans."""
        stored = self._floats * self._float + self._others
        found = {"macs": float(self._outside), "parameters": float(self._parameters), "bytes": float(stored)}
        found |= {CACHE: 0.0} if self._caches else {}
        for number, plan in enumerate(plans):
            own = self._of_block(number, plan)
            found = {name: value + own[name] for name, value in found.items()}
        return found

    def _of_block(self, number: int, plan: BlockPlan) -> dict[str, float]:
        """Return the macs of a layer, and how many parameters and bytes fewer it has than the whole one."""
        key = (number, plan.key)
        if key not in self._known:
            self._known[key] = self._counted_block(number, plan)
        return self._known[key]

    def _counted_block(self, number: int, plan: BlockPlan) -> dict[str, float]:
        source, block = self._blocks[number], self._anatomy.blocks[number]
        if not plan.kept:
            return {
                "macs": 0.0,
                "parameters": -float(self._whole[number]),
                "bytes": -float(self._whole[number] * self._float),
                CACHE: 0.0,
            }
        shape = block_shape(source, block, plan)
        tokens, keys = self._sizes[number]
        gone = [f"{path}." for path in shape["no_heads"]]
        stays = {f"{path}.{name}" for path, own in shape.get("emptied", {}).items() for name in [own.get("norm")]}
        stays.add(block.attention.output)
        shares = {path: own.share for own in block.feed_forwards for path in (*own.inputs, own.output)}
        macs, parameters, coded = 0.0, 0, 0
        for path, module in source.named_modules():
            own = _numbers(path, module, shape.get("parameters", {}))
            if any(f"{path}.".startswith(start) for start in gone) and path not in stays:
                continue
            if isinstance(module, nn.Linear):
                width_in, width_out = shape["widths"].get(path, [module.in_features, module.out_features])
                macs += width_in * width_out * shares.get(path, 1.0) * tokens
                own = width_in * width_out + (width_out if module.bias is not None else 0)
                coded += _saved(path, (width_out, width_in), plan.bits, self._float)
            parameters += own
        macs += 2 * (len(plan.heads) * block.attention.width + block.crossing) * tokens * keys
        less = parameters - self._whole[number]
        cached = float(_cached(block.attention, plan.heads) * self._float)
        return {
            "macs": macs * block.times,
            "parameters": float(less),
            "bytes": float(less * self._float - coded),
            CACHE: cached,
        }


def _numbers(path: str, module: nn.Module, narrowed: Mapping[str, Sequence[int]]) -> int:
    """Return how many numbers a module's own parameters hold, those of other shapes by their paths."""
    sizes = [
        math.prod(narrowed.get(f"{path}.{name}", own.shape)) for name, own in module.named_parameters(recurse=False)
    ]
    return sum(sizes)


def _cached(attention: Attention, heads: IntArray) -> int:
    """Return how many numbers a layer puts into a cache for each token.

    Where the queries of some keys are fewer than those of others, each query head keeps a key and value of its own;
    without heads a single number counts the token.
    """
    if len(heads) == 0:
        return 1
    needed, place = attention.owners(heads)
    even = np.array_equal(place, np.arange(len(heads)) * len(needed) // len(heads)) and len(heads) % len(needed) == 0
    return 2 * attention.width * (len(needed) if even else len(heads))


def _saved(path: str, shape: tuple[int, int], bits: int, size: int) -> int:
    """Return how many bytes coding a weight saves, where a number takes `size` bytes."""
    if bits == 32 or 0 in shape:
        return 0
    left = Rounding((bits, 32)).left(linear_part(path), shape, 0)
    return shape[0] * shape[1] * size - left.stored_bytes


def _kept_buffers(model: nn.Module) -> list[torch.Tensor]:
    kept = set(model.state_dict())
    return [buffer for name, buffer in model.named_buffers() if name in kept]


def _sizes(model: Any, anatomy: Anatomy, inputs: Mapping[str, torch.Tensor], tokens: int) -> Sequence[tuple[int, int]]:
    """Return how many tokens flow through each layer, and among how many each attends; seen where stacks differ."""
    if not anatomy.several:
        return [(tokens, tokens)] * len(anatomy.blocks)
    found: list[tuple[int, int]] = []

    def hook(_module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        taken = arguments[0]
        found.append((taken[..., 0].numel(), taken.shape[-2]))

    blocks: Any = model.get_submodule(anatomy.path)
    handles = [
        source.get_submodule(block.attention.output).register_forward_pre_hook(hook)
        for source, block in zip(blocks, anatomy.blocks, strict=True)
    ]
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _macs_outside(model: Any, anatomy: Anatomy, inputs: Mapping[str, torch.Tensor]) -> int:
    """Return the multiply-accumulates of convolutions and linear layers outside of the layers, for one example."""
    counts: list[int] = []

    def hook(module: nn.Module, _arguments: tuple[Any, ...], outputs: torch.Tensor) -> None:
        weight: Any = module.weight
        places = outputs.numel() // weight.shape[0]
        counts.append(weight.numel() * places)

    handles = [
        module.register_forward_hook(hook)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        and not any(path.startswith(f"{stack}.") for stack in anatomy.stacks or (anatomy.path,))
    ]
    whole = Narrower(model, anatomy)
    try:
        with torch.no_grad():
            first = [] if anatomy.several else [model.get_submodule(anatomy.path)[0]]
            whole.with_blocks(first)(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)
