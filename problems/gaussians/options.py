"""What the problem on Gaussians can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emoprune.errors import ConfigError

__all__ = ["GaussianOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianOptions:
    """Which Gaussians are pruned, and what is measured of those that stay.

    Args:
        data: china, flower, digit, rings or checks, an image file, `package.module:function` that returns the array of
            an image; or scene, or a .ply file as 3D Gaussian splatting writes it.
        size: How many pixels an image, or each view of a scene, has across.
        gaussians: How many are fitted to an image; a point file brings its own.
        steps: Of Adam, by which they are fitted.
        criteria: How Gaussians may be ranked: methods by name (`emoprune list criteria`), or mappings.
        objectives: What is made better, by name (`emoprune list objectives`), or mappings.
        references: What a user would have picked: methods by name (`emoprune list references`), or mappings.
    """

    data: str = "flower"
    size: int = 64
    gaussians: int = 250
    steps: int = 150
    criteria: Sequence[str | Mapping[str, Any]] = ("computational-efficiency", "light-per-tile", "opacity", "random")
    objectives: Sequence[str | Mapping[str, Any]] = ("mse", "tile-work")
    references: Sequence[str | Mapping[str, Any]] = ("ranked",)

    def __post_init__(self) -> None:
        for name, least, most in (("size", 16, 512), ("gaussians", 10, 5000), ("steps", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: expected {least} to {most:,}, found {getattr(self, name)}")
        if not self.criteria:
            raise ConfigError("criteria: expected one or more ways to rank Gaussians, found none")

    @property
    def in_space(self) -> bool:
        """Whether a scene is pruned, not an image."""
        return self.data == "scene" or self.data.lower().endswith(".ply")
