"""What a criterion may look at to rank Gaussians, and what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoprune.problems.gaussians.drawing import blending, tiles_touched
from emoprune.problems.gaussians.scene import Scene

__all__ = ["Evidence", "GaussianCriterion"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Gaussians, and the pictures of the `fit` part; held-out pixels and views are not to be looked at.

    Attributes:
        scene: All of it.
        seed: All randomness of a criterion.
    """

    scene: Scene
    seed: int

    @property
    def count(self) -> int:
        """How many Gaussians there are."""
        return len(self.scene.tensors["opacities"])

    def by_view(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield for each view of `fit` blending weights, (n, pixels), tiles touched, (n,), and who each is, (n,)."""
        with torch.no_grad():
            for view in self.scene.views["fit"]:
                flat = self.scene.flat(self.scene.tensors, view)
                yield blending(flat, view.pixels), tiles_touched(flat, view.rows, view.columns), flat.order


class GaussianCriterion(Protocol):
    """Ranks Gaussians."""

    def __call__(self, evidence: Evidence) -> FloatArray:
        """Return a finite score per Gaussian, shape (n,), the larger the more it is worth keeping."""
        ...
