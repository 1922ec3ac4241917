"""What a soft mask is given and what it promises, whatever it masks: weights, channels, heads or neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from emoprune.errors import ContractError

__all__ = ["Maskable", "Own", "SoftMask", "largest", "zeros_of"]

Own = Mapping[str, torch.Tensor]  # a mask's own parameters of one maskable, by name


class SoftMask(Protocol):
    """Says how much of each thing passes while it is trained, and which things stay at last.

    Things lie in rows: one row for all weights of a layer or all units of a group, or one for each N of M. Of each row
    `keep` stay.
    """

    @property
    def rate(self) -> float:
        """The highest learning rate of its own parameters."""
        ...

    @property
    def trains_weights(self) -> bool:
        """Whether the weights are trained as well while the mask is soft."""
        ...

    def begin(self, sizes: torch.Tensor) -> Own:
        """Return its own parameters as they begin, or none.

        Args:
            sizes: The magnitudes of weights, or the L2 norms of units, shape (rows, columns).
        """
        ...

    def soft(
        self, sizes: torch.Tensor, own: Own, keep: int, progress: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return how much of each thing passes, from 0 to 1, shape (rows, columns), with gradients.

        Args:
            sizes: As in `begin`, of the weights as they are now, with gradients.
            own: Its own parameters.
            keep: How many things of each row stay at last.
            progress: The share of the training that is done, from 0 to 1.
            generator: Where all randomness comes from.
        """
        ...

    def penalty(self, own: Own, keep: int, columns: int, progress: float) -> torch.Tensor | float:
        """Return what is added to the loss of each step, with gradients; 0 for nothing."""
        ...

    def hard(self, sizes: torch.Tensor, own: Own, keep: int) -> torch.Tensor:
        """Return which things stay, `keep` of each row, shape (rows, columns)."""
        ...


def largest(values: torch.Tensor, keep: int) -> torch.Tensor:
    """Return where the `keep` largest values of each row are, of equal ones the first; shape (rows, columns)."""
    order = torch.argsort(values.detach(), dim=-1, descending=True, stable=True)[..., :keep]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(-1, order, value=True)


@dataclass(frozen=True, slots=True, eq=False)
class Maskable:
    """Things of which some stay: the weights of a layer in one row or in an N of M each, or the units of a group.

    Attributes:
        name: What it is called.
        members: By a parameter's name which thing each of its numbers belongs to, -1 for none; shapes that can be
            broadcast to the parameters'.
        rows: How many rows of things there are.
        columns: How many things each row has.
        keep: How many of each row stay.

    Raises:
        ContractError: None of a row would stay, or more than there are.
    """

    name: str
    members: Mapping[str, torch.Tensor]
    rows: int
    columns: int
    keep: int

    def __post_init__(self) -> None:
        if not 1 <= self.keep <= self.columns:
            raise ContractError(f"{self.name}: expected to keep 1 to {self.columns} of each row, found {self.keep}")

    def sizes(self, model: nn.Module) -> torch.Tensor:
        """Return the L2 norm of each thing's numbers, shape (rows, columns), with gradients."""
        total: torch.Tensor | None = None
        for name, index in self.members.items():
            weight = model.get_parameter(name)
            squares, places = weight.square(), index.to(weight.device).expand_as(weight)
            # One place more takes what belongs to no thing.
            begun = weight.new_zeros(self.rows * self.columns + 1) if total is None else total
            total = begun.index_add(0, (places.flatten() + len(begun)) % len(begun), squares.flatten())
        assert total is not None  # noqa: S101  # there are members; narrows the type
        # The gradient of a root at 0 is none.
        return total[:-1].view(self.rows, self.columns).clamp_min(torch.finfo(total.dtype).tiny).sqrt()

    def spread(self, values: torch.Tensor, name: str, other: bool | float) -> torch.Tensor:
        """Return a value per thing, shape (rows, columns), for each number of a parameter; `other` for those of none.

        Its shape can be broadcast to the parameter's.
        """
        every = torch.cat([values.flatten(), values.new_full((1,), other)])
        return every[self.members[name].to(values.device)]


def zeros_of(maskables: Sequence[Maskable], stays: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return where parameters are zero when only some things of each maskable stay."""
    found: dict[str, torch.Tensor] = {}
    for each, own in zip(maskables, stays, strict=True):
        for name in each.members:
            gone = each.spread(~own, name, other=False)
            found[name] = found[name] | gone if name in found else gone
    return found
