"""Whether the options of a curvature can be."""

from __future__ import annotations

import math

from emoprune.errors import ConfigError

__all__ = ["check_curvature"]


def check_curvature(gradients: int, block: int, damping: float) -> None:
    """Refuse what no Fisher matrix can be made of.

    Raises:
        ConfigError: One of the three is not positive.
    """
    if gradients < 1 or block < 1 or not (math.isfinite(damping) and damping > 0):
        raise ConfigError(
            f"mfac: expected gradients and block of 1 or more and a positive damping, found {gradients}, {block} and "
            f"{damping}"
        )
