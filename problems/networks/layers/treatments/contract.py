"""What a treatment of single layers promises, and how much of a treated layer is left to store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch

from emoprune.problems.networks.coupling.structure import Part

__all__ = ["Left", "Treatment", "only"]


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a layer's weight: how many weights are not zeroed, and the bytes that storing them takes.

    The bytes include all that it takes to put the weights back where they belong.
    """

    nonzeros: int
    stored_bytes: int


class Treatment(Protocol):
    """Changes the weight of a layer at one of several levels; the highest level leaves it as it is."""

    @property
    def dtype(self) -> torch.dtype:
        """The numbers that weights are stored in where they are not coded otherwise."""
        ...

    def storing(self, dtype: torch.dtype) -> Self:
        """Return the same treatment of weights that are numbers of `dtype`."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """What each level means, from the strongest to the untouched."""
        ...

    def ranked(self, part: Part, scores: torch.Tensor) -> torch.Tensor:
        """Return what `treated` needs to know of the scores of a layer's weights; made once and used at every level.

        Args:
            part: The layer.
            scores: In the weight's shape, the larger the more a weight is worth keeping; of equal ones the first stay.
        """
        ...

    def treated(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> torch.Tensor:
        """Return the layer's weight at a level, in its full shape; `ranks` are what `ranked` returned.

        No zero in it has a sign, so that it can be packed and unfolded again to the bit.
        """
        ...

    def left(self, part: Part, shape: tuple[int, ...], level: int) -> Left:
        """Return what is left at a level of a weight of that shape, whatever its values are."""
        ...


def only(weight: torch.Tensor, staying: torch.Tensor) -> torch.Tensor:
    """Return the weight with zeros, all of them positive, wherever `staying`, a mask of its shape, is false."""
    # Cloned first, because that keeps the order in memory in which convolutions run fastest.
    return weight.clone().masked_fill_(~staying.to(weight.device), 0.0).add_(0.0)
