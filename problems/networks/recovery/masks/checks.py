"""What every mask promises, tried on a few rows of sizes, before minutes of training rest on it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import global_generators
from emoprune.problems.networks.recovery.masks.contract import Own, SoftMask

__all__ = ["check_mask"]

ROWS, COLUMNS = 3, 12
KEPT = (1, 5, COLUMNS)
PROGRESS = (0.0, 0.3, 1.0)


def check_mask(make: Callable[[], SoftMask]) -> None:
    """Try a mask at several ratios and moments of its training.

    Raises:
        ContractError: It passes less than nothing or more than all, nothing learns from it, it keeps more or less than
            it is told, it is another one from the same generator, or it draws from torch's own.
    """
    before = global_generators()
    for keep in KEPT:
        for progress in PROGRESS:
            _check_soft(make(), keep, progress)
        _check_hard(make(), keep)
    if global_generators() != before:
        raise ContractError("mask: expected global generators left alone; draw from the generator that it is given")


def _sizes() -> torch.Tensor:
    drawn = torch.randn((ROWS, COLUMNS), generator=torch.Generator().manual_seed(5))
    return drawn.abs().requires_grad_()


def _begun(mask: SoftMask, sizes: torch.Tensor) -> Own:
    return {name: own.clone().requires_grad_() for name, own in mask.begin(sizes.detach()).items()}


def _check_soft(mask: SoftMask, keep: int, progress: float) -> None:
    sizes = _sizes()
    own, found = _begun(mask, sizes), list[torch.Tensor]()
    for _ in range(2):
        found.append(mask.soft(sizes, own, keep, progress, torch.Generator().manual_seed(1)))
    first, second = found
    if first.shape != sizes.shape or not bool(torch.isfinite(first).all()):
        raise ContractError(f"mask: expected finite numbers of shape {tuple(sizes.shape)}, found {tuple(first.shape)}")
    if float(first.detach().min()) < 0 or float(first.detach().max()) > 1:
        raise ContractError("mask: expected numbers from 0 to 1, found others")
    if not torch.equal(first, second):
        raise ContractError("mask: expected the same from the same generator, found another mask")
    if keep == KEPT[1] and progress == PROGRESS[1]:
        total = (first * torch.arange(1.0, COLUMNS + 1)).sum() + mask.penalty(own, keep, COLUMNS, progress)
        learning = [sizes, *own.values()]
        gradients = torch.autograd.grad(total, learning, allow_unused=True)
        if not any(each is not None and bool((each != 0).any()) for each in gradients):
            raise ContractError("mask: expected gradients by sizes or its own parameters, found none that is not 0")


def _check_hard(mask: SoftMask, keep: int) -> None:
    sizes = _sizes().detach()
    stays = mask.hard(sizes, mask.begin(sizes), keep)
    if stays.dtype != torch.bool or not bool((stays.sum(dim=-1) == keep).all()):
        raise ContractError(f"mask: expected exactly {keep} of each row to stay, found {stays.sum(dim=-1).tolist()}")
