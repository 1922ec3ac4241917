"""The step that the built-in networks for fashion images are made of: a convolution, batch norm, an activation."""

from __future__ import annotations

from torch import nn

__all__ = ["convolution"]


def convolution(
    incoming: int, outgoing: int, activation: nn.Module | None, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without bias, batch norm, and the activation if there is one; padded to keep the size."""
    conv = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outgoing), *([activation] if activation is not None else [])]
