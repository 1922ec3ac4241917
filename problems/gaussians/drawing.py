"""Drawing flat Gaussians front to back, differentiably; and counting the tiles that they touch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emoprune.problems.gaussians.standalone.splats import FAINTEST, MOST, REACH

__all__ = ["TILE", "Flat", "blended", "blending", "extents", "tiles_touched"]

TILE = 8  # pixels across; a renderer sorts and blends tile by tile


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """Gaussians as one view has them, front to back.

    Attributes:
        centres: In pixels, shape (n, 2).
        covariances: In squares of pixels, shape (n, 2, 2).
        opacities: From 0 to 1, shape (n,).
        colours: Shape (n, 3).
        order: Which Gaussian each of them is, shape (n,).
    """

    centres: Tensor
    covariances: Tensor
    opacities: Tensor
    colours: Tensor
    order: Tensor


def blending(flat: Flat, pixels: Tensor) -> Tensor:
    """Return how much of each pixel's light each Gaussian gives, transmittance times alpha, shape (n, pixels).

    What is further than three deviations away or fainter than a 255th gives nothing, as in published renderers.

    Args:
        flat: Gaussians front to back.
        pixels: Places, shape (pixels, 2).
    """
    apart = pixels[None] - flat.centres[:, None]
    inverse = torch.linalg.inv(flat.covariances)
    power = 0.5 * torch.einsum("npi,nij,npj->np", apart, inverse, apart)
    taken = torch.clamp(flat.opacities[:, None] * torch.exp(-power), max=MOST)
    taken = torch.where((power <= REACH) & (taken >= FAINTEST), taken, torch.zeros_like(taken))
    through = torch.cumprod(1 - taken, dim=0)
    before = torch.cat([torch.ones_like(through[:1]), through[:-1]])
    return before * taken


def blended(flat: Flat, pixels: Tensor) -> Tensor:
    """Return the colours of pixels before a black background, shape (pixels, 3)."""
    if len(flat.order) == 0:
        return torch.zeros((len(pixels), 3), dtype=pixels.dtype)
    return blending(flat, pixels).T @ flat.colours


def extents(flat: Flat) -> Tensor:
    """Return how far each Gaussian reaches across and down, three deviations, shape (n, 2)."""
    return 3 * torch.sqrt(torch.diagonal(flat.covariances, dim1=1, dim2=2))


def tiles_touched(flat: Flat, rows: int, columns: int) -> Tensor:
    """Return how many tiles of an image the box around each Gaussian touches, shape (n,)."""
    reach = extents(flat).detach()
    most = torch.tensor([-(-columns // TILE), -(-rows // TILE)], dtype=reach.dtype)
    low = torch.clamp(torch.floor((flat.centres.detach() - reach) / TILE), min=0)
    high = torch.clamp(torch.floor((flat.centres.detach() + reach) / TILE) + 1, min=0)
    spans = torch.clamp(torch.minimum(high, most) - torch.minimum(low, most), min=0)
    return spans.prod(dim=1)
