"""Varying training images at random: mirrored, and moved by a few pixels."""

from __future__ import annotations

import torch

__all__ = ["augmented"]


def augmented(images: torch.Tensor, *, flips: bool, shift: int, order: torch.Generator) -> torch.Tensor:
    """Return images of shape (n, channels, height, width), each varied by itself; unchanged if nothing is asked for.

    Args:
        images: Stay as they were.
        flips: Mirror each image left to right with probability one half.
        shift: Move each image by up to so many pixels both ways; what comes in is what its edge mirrors.
        order: The source of all randomness; untouched if nothing is asked for.
    """
    if flips:
        mirrored = torch.rand(len(images), generator=order) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if shift:
        images = _shifted(images, shift, order)
    return images


def _shifted(images: torch.Tensor, shift: int, order: torch.Generator) -> torch.Tensor:
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (shift,) * 4, mode="reflect")
    down, right = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=order)
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    # Channels move to the end when an index stands on both sides of a slice.
    moved = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)
