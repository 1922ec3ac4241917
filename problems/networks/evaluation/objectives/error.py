"""How often the highest output is wrong."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Direction, Link, about
from emoprune.problems.networks.evaluation.objectives.contract import DROPPING, SERVES, Needs, Seen

__all__ = ["Error"]


@about("measurement", ["network"], serves=[*SERVES, *DROPPING], cost="one pass over the images")
class Error:
    """Share of images whose highest output is not their label."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"
    worst: ClassVar[float] = 1.0
    link: ClassVar[Link] = "mean"

    def __call__(self, seen: Seen) -> float:
        """Return the share, from 0 to 1; of equal outputs the first counts as the highest."""
        return int((seen.outputs.argmax(dim=1) != seen.labels).sum()) / len(seen.labels)

    def examples(self, seen: Seen) -> torch.Tensor:
        """Return 1 for each image that counts and 0 for the others, shape (images,)."""
        return (seen.outputs.argmax(dim=1) != seen.labels).double()
