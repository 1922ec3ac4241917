"""What is known of one operation, of a choice that it left open, and of a number that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emoprune.problems.networks.coupling.following.axes import Labels
from emoprune.problems.networks.coupling.following.places import Place

__all__ = ["Call", "Choice", "Counted"]


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
