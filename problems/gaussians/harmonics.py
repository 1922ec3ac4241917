"""Colours by direction: spherical harmonics up to the third degree, in the order of 3D Gaussian splatting."""

from __future__ import annotations

import torch
from torch import Tensor

from emoprune.problems.gaussians.scene import Tensors

__all__ = ["BAND_0", "colours_towards"]

BAND_0 = 0.28209479177387814
BAND_1 = 0.4886025119029199
BAND_2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
BAND_3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def colours_towards(tensors: Tensors, ways: Tensor) -> Tensor:
    """Return the colour of each Gaussian seen along `ways`, shape (n, 3), none below zero."""
    found = BAND_0 * tensors["plain"]
    if "rest" in tensors:
        rest = tensors["rest"]
        found = found + torch.einsum("ncb,nb->nc", rest, _basis(ways, rest.shape[2]))
    return torch.clamp(found + 0.5, min=0.0)


def _basis(ways: Tensor, count: int) -> Tensor:
    """Return the first harmonics above the constant one, shape (n, count)."""
    x, y, z = (ways / ways.norm(dim=1, keepdim=True).clamp(min=1e-12)).unbind(dim=1)
    xx, yy, zz = x * x, y * y, z * z
    first = [-BAND_1 * y, BAND_1 * z, -BAND_1 * x]
    second = [own * part for own, part in zip(BAND_2, (x * y, y * z, 2 * zz - xx - yy, x * z, xx - yy), strict=True)]
    parts = (
        y * (3 * xx - yy),
        x * y * z,
        y * (4 * zz - xx - yy),
        z * (2 * zz - 3 * xx - 3 * yy),
        x * (4 * zz - xx - yy),
        z * (xx - yy),
        x * (xx - 3 * yy),
    )
    third = [own * part for own, part in zip(BAND_3, parts, strict=True)]
    return torch.stack([*first, *second, *third][:count], dim=1)
