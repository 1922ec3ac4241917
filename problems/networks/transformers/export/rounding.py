"""Weights in the numbers in which they are stored, so that what is measured is what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan

__all__ = ["fits", "round_to", "rounding_to"]


def round_to(model: Any, dtype: torch.dtype) -> None:
    """Round all weights of a model in place to what numbers of `dtype` can be; they keep their own type."""
    if dtype != torch.float32:
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(tensor.to(dtype))


def fits(model: Any, dtype: torch.dtype) -> bool:
    """Return whether all weights of a model are numbers of `dtype` already."""
    return all(
        torch.equal(tensor, tensor.to(dtype).to(tensor.dtype))
        for tensor in model.state_dict().values()
        if tensor.is_floating_point()
    )


def rounding_to(dtype: torch.dtype, adjust: Adjust | None) -> Adjust | None:
    """Return what adjusts a layer's tensors and then rounds them; weights that are coded in few bits stay as they are.

    Args:
        dtype: Of what is stored.
        adjust: What repairs narrowed layers and codes their weights; None does nothing.
    """
    if adjust is None or dtype == torch.float32:
        return adjust

    def adjusted(number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        made = adjust(number, plan, tensors)
        return {name: own if _coded(name, own, plan) else own.to(dtype).to(own.dtype) for name, own in made.items()}

    return adjusted


def _coded(name: str, tensor: torch.Tensor, plan: BlockPlan) -> bool:
    return plan.bits != 32 and tensor.ndim == 2 and name.endswith(".weight")
