"""What a recovery of Gaussians is given, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emoprune.problems.gaussians.scene import Scene, Tensors

__all__ = ["Case", "GaussianRecovery"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Gaussians that stay, and the pictures of the `fit` part that they are trained on.

    Attributes:
        scene: All of it; held-out pixels and views are not to be looked at.
        tensors: Those that stay; they are left as they are.
        steps: Of Adam.
        seed: All randomness.
    """

    scene: Scene
    tensors: Tensors
    steps: int
    seed: int


class GaussianRecovery(Protocol):
    """Wins back what pruning cost."""

    def __call__(self, case: Case) -> Tensors:
        """Return tensors of the same names and shapes."""
        ...
