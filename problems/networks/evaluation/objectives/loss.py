"""How little probability the labels get."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from emoprune.contracts import Direction, Link, about
from emoprune.problems.networks.evaluation.objectives.contract import DROPPING, SERVES, Needs, Seen

__all__ = ["Loss"]


@about("measurement", ["network"], serves=[*SERVES, *DROPPING], cost="one pass over the images")
class Loss:
    """Mean cross-entropy in nats."""

    unit = "nats"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"
    link: ClassVar[Link] = "mean"

    def __call__(self, seen: Seen) -> float:
        """Return the mean over the images, computed in 64 bits."""
        return float(nn.functional.cross_entropy(seen.outputs.double(), seen.labels))

    def examples(self, seen: Seen) -> torch.Tensor:
        """Return the cross-entropy of each image, shape (images,)."""
        return nn.functional.cross_entropy(seen.outputs.double(), seen.labels, reduction="none")
