"""The masked model: full-size, its removed heads and neurons put out nothing; what a narrowed one must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.space import IntArray

__all__ = ["masked"]

Hook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]


@contextmanager
def masked(model: Any, anatomy: Anatomy, plans: Sequence[BlockPlan]) -> Iterator[None]:
    """Let the model run, within the block, as if it had only what the plans keep."""
    blocks, handles = model.get_submodule(anatomy.path), []
    try:
        for block, module, plan in zip(anatomy.blocks, blocks, plans, strict=True):
            if not plan.kept:
                handles.append(module.register_forward_hook(_skipped, with_kwargs=True))
                continue
            width = block.attention.width
            heads = (plan.heads[:, np.newaxis] * width + np.arange(width)).reshape(-1)
            gates = [(block.attention.output, heads, block.attention.heads * width)]
            for own, neurons in zip(block.feed_forwards, block.split(plan.neurons), strict=True):
                gates.append((own.output, neurons, own.neurons))
            for path, kept, channels in gates:
                handles.append(module.get_submodule(path).register_forward_pre_hook(_gate(kept, channels)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gate(kept: IntArray, channels: int) -> Hook:
    gate = torch.zeros(channels)
    gate[torch.from_numpy(kept)] = 1.0

    def hook(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (arguments[0] * gate.to(arguments[0]), *arguments[1:])

    return hook


def _skipped(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> Any:
    """Return what went into a layer as what comes out of it, in the form of its own outputs."""
    taken = arguments[0] if arguments else named["hidden_states"]
    return (taken, *outputs[1:]) if isinstance(outputs, tuple) else taken
