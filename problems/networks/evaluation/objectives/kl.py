"""How far probabilities are from those of the unpruned network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from emoprune.contracts import Direction, Link, about
from emoprune.problems.networks.evaluation.objectives.contract import SERVES, Needs, Seen

__all__ = ["KL"]


@about("measurement", ["network"], serves=SERVES, cost="one pass over the images")
class KL:
    """Mean Kullback-Leibler divergence from the unpruned network's probabilities in nats."""

    unit = "nats"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs of both"
    link: ClassVar[Link] = "mean"

    def __call__(self, seen: Seen) -> float:
        """Return the mean over the images, computed in 64 bits, at least 0."""
        own, other = (nn.functional.log_softmax(each.double(), dim=1) for each in (seen.outputs, seen.unpruned_outputs))
        return max(0.0, float((other.exp() * (other - own)).sum(dim=1).mean()))

    def examples(self, seen: Seen) -> torch.Tensor:
        """Return the divergence of each image, shape (images,), at least 0."""
        own, other = (nn.functional.log_softmax(each.double(), dim=1) for each in (seen.outputs, seen.unpruned_outputs))
        return (other.exp() * (other - own)).sum(dim=1).clamp(min=0.0)
