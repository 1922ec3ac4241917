"""Weights taken away in stages, what is left being measured anew before each: one order for every share that stays."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["in_stages"]

Step = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


def in_stages(weight: torch.Tensor, stages: int, least: float, step: Step) -> torch.Tensor:
    """Return one score per weight: the later a stage takes a weight away, the larger, then by importance within it.

    From stage to stage the same share of what is left goes, until `least` of all weights stay.

    Args:
        weight: Of one layer, shape (weights,).
        stages: How often weights go.
        least: The share that stays at last.
        step: From the weights, those that are left, of the same shape, and how many shall be left afterwards, to the
            importance of each and the weights as they are by now.
    """
    left = torch.ones(len(weight), dtype=torch.bool)
    scores, now = torch.zeros_like(weight), weight.clone()
    for stage in range(stages):
        staying = max(1, round(len(weight) * least ** ((stage + 1) / stages)))
        importance, now = step(now, left, staying)
        order = torch.argsort(
            torch.where(left, importance, torch.full_like(importance, -torch.inf)), descending=True, stable=True
        )
        going = order[staying : int(left.sum())]
        # Within a stage from 0 up to, but not to, 1.
        scores[going] = stage + torch.arange(len(going), 0, -1, dtype=weight.dtype) / (len(going) + 1)
        left[going] = False
        now = now * left
    importance, _ = step(now, left, int(left.sum()))
    order = torch.argsort(
        torch.where(left, importance, torch.full_like(importance, -torch.inf)), descending=True, stable=True
    )
    last = order[: int(left.sum())]
    scores[last] = stages + torch.arange(len(last), 0, -1, dtype=weight.dtype) / (len(last) + 1)
    return scores


def _falling(importance: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Return the places of all weights, the most important first, those that are gone behind the others."""
    there = torch.where(left, importance, torch.full_like(importance, -torch.inf))
    return torch.argsort(there, descending=True, stable=True)
