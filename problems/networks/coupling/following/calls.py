"""What is known of one operation, of a choice that it left open, and of a number that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.places import Place

if TYPE_CHECKING:
    from emoprune.problems.networks.coupling.following.follower import Follower

__all__ = ["Call", "Choice", "Counted", "Rule"]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One operation of torch as it was called, and what it gave."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any


@dataclass(frozen=True, slots=True)
class Choice:
    """Where channels were split over several axes, along which of these they were taken to go, and the other ways.

    `atoms` are the channels; `key` says where in the code it is, with the sizes of the axes.
    """

    key: tuple[Place | None, tuple[int, ...]]
    taken: int
    others: tuple[int, ...]
    atoms: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """A number in an attribute of a module, and the channels that it counts."""

    source: tuple[str, str, int | None]
    labels: Labels


class Rule(Protocol):
    """What one kind of operations does to the axes of its arguments: the axes of its outputs, one per tensor."""

    def __call__(self, follower: Follower, call: Call, /) -> Sequence[Axes]:
        """Return the axes of the outputs, in order; none at all where nothing along any of them ever goes."""
