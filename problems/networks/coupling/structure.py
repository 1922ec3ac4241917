"""A network's coupling groups as data: which channels belong together, and where in the network each of them lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError
from emoprune.space import IntArray

__all__ = ["FIXED", "CouplingGroup", "Kept", "Part", "Structure", "Whole", "Wiring"]

FIXED = -1  # in Wiring.groups: this channel stays whatever the genome says

Kept = Sequence[IntArray]  # for each coupling group the rising indices of the units that stay


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Which coupling group, and which of its units, each channel on one side of a part belongs to; both (channels,)."""

    groups: IntArray
    units: IntArray
    _places: tuple[tuple[int, IntArray], ...] = field(
        init=False, repr=False
    )  # by coupling group, where its channels lie

    def __post_init__(self) -> None:
        if self.groups.ndim != 1 or self.groups.shape != self.units.shape:
            raise ContractError(f"a wiring has one group and one unit per channel, found {self.groups.shape}")
        varying = [int(group) for group in np.unique(self.groups) if group != FIXED]
        object.__setattr__(self, "_places", tuple((group, np.flatnonzero(self.groups == group)) for group in varying))

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def varies(self) -> bool:
        """Whether any of the channels can go."""
        return bool(self._places)

    def staying(self, kept: Kept) -> IntArray:
        """Return the rising indices of the channels that stay, shape (channels that stay,)."""
        stays = self.groups == FIXED
        for group, places in self._places:
            units = self.units[places]
            chosen = np.zeros(max(units.max(), kept[group].max(initial=0)) + 1, dtype=np.bool_)
            chosen[kept[group]] = True
            stays[places] = chosen[units]
        return np.flatnonzero(stays)

    def multiplicity(self, groups: int) -> IntArray:
        """Return how many of these channels each unit of each coupling group stands for, shape (groups,)."""
        counts = np.zeros(groups, dtype=np.int64)
        for group, places in self._places:
            counts[group] = len(places) // len(np.unique(self.units[places]))
        return counts

    @property
    def fixed(self) -> int:
        """How many of the channels never go."""
        return int((self.groups == FIXED).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A module, or a bare parameter, buffer or number, that holds channels.

    `kind` is the name of the class in `torch.nn` that it is of or derives from, or `Parameter`, `Buffer`, or `Number`,
    an attribute that counts channels; `conv_groups` is a convolution's `groups`; `positions` is
    at how many places of one image its weight is applied, `kernel` how many weights join two channels; `dimension` is
    the axis of a bare tensor that holds the channels. `along` wires these places where they are channels themselves, as
    where a mixer's layer runs over places, once for each channel.
    """

    path: str
    kind: str
    incoming: Wiring | None
    outgoing: Wiring | None
    conv_groups: int = 1
    positions: int = 0
    kernel: int = 1
    dimension: int = 0
    along: Wiring | None = None

    @property
    def weighted(self) -> bool:
        """Whether it multiplies: a convolution or a linear layer."""
        return "." not in self.kind and (self.kind.startswith("Conv") or self.kind == "Linear")

    @property
    def varies(self) -> bool:
        """Whether any of its channels can go."""
        return any(wiring is not None and wiring.varies for wiring in (self.incoming, self.outgoing))

    @property
    def depthwise(self) -> bool:
        """Whether each of its filters reads one channel alone, so that filters go together with the channels."""
        return self.conv_groups > 1 and self.incoming is not None and self.conv_groups == len(self.incoming)


@dataclass(frozen=True, slots=True)
class CouplingGroup:
    """Channels, in units that stay or go as one, that can only be removed from all `members` together.

    A member is a part's path and a side, `out` or `in`; the first one gives the group its name.
    """

    name: str
    units: int
    members: tuple[tuple[str, str], ...]

    @property
    def producers(self) -> tuple[str, ...]:
        """The paths of the parts that put these channels out, in the order in which they run."""
        return tuple(path for path, side in self.members if side == "out")

    @property
    def consumers(self) -> tuple[str, ...]:
        """The paths of the parts that take these channels in."""
        return tuple(path for path, side in self.members if side == "in")


@dataclass(frozen=True, slots=True)
class Whole:
    """Channels that cannot be pruned, by the path of the part that puts them out, and why."""

    path: str
    channels: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """All coupling groups of a network and its parts, both in the order in which the parts run.

    `broken` names the groups whose sliced network is not the masked one, with the reason; `functional_macs` counts, for
    one image of the unpruned network, multiply-accumulates outside of its parts, which no count here follows.
    """

    input_shape: tuple[int, ...]
    classes: int
    groups: tuple[CouplingGroup, ...]
    parts: tuple[Part, ...]
    wholes: tuple[Whole, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    functional_macs: int = 0

    @property
    def full(self) -> Kept:
        """All units of all groups."""
        return [np.arange(group.units) for group in self.groups]

    @property
    def units(self) -> tuple[int, ...]:
        """How many units each coupling group has."""
        return tuple(group.units for group in self.groups)

    @property
    def weighted(self) -> tuple[Part, ...]:
        """The convolutions and linear layers."""
        return tuple(part for part in self.parts if part.weighted)

    def part(self, path: str) -> Part:
        """Return the part of that path."""
        return next(part for part in self.parts if part.path == path)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that `from_json` reads back."""
        return {
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "groups": [[group.name, group.units, [list(member) for member in group.members]] for group in self.groups],
            "parts": [_part_as_json(part) for part in self.parts],
            "wholes": [[whole.path, whole.channels, whole.reason] for whole in self.wholes],
            "broken": dict(self.broken),
            "functional_macs": self.functional_macs,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Structure:
        """Return the structure that `as_json` wrote."""
        return cls(
            tuple(plain["input_shape"]),
            plain["classes"],
            tuple(
                CouplingGroup(name, units, tuple((path, side) for path, side in members))
                for name, units, members in plain["groups"]
            ),
            tuple(_part_from_json(part) for part in plain["parts"]),
            tuple(Whole(*whole) for whole in plain["wholes"]),
            dict(plain["broken"]),
            plain["functional_macs"],
        )


_SIDES = ("incoming", "outgoing", "along")


def _part_as_json(part: Part) -> dict[str, Any]:
    sides = {side: _wiring_as_json(getattr(part, side)) for side in _SIDES}
    if part.along is None:  # as structures were written before there was such a wiring
        del sides["along"]
    names = ("path", "kind", "conv_groups", "positions", "kernel", "dimension")
    return {**{name: getattr(part, name) for name in names}, **sides}


def _wiring_as_json(wiring: Wiring | None) -> list[list[int]] | None:
    return None if wiring is None else [wiring.groups.tolist(), wiring.units.tolist()]


def _part_from_json(plain: Mapping[str, Any]) -> Part:
    sides = {side: _wiring_from_json(plain.get(side)) for side in _SIDES}
    return Part(**{**plain, **sides})


def _wiring_from_json(plain: Sequence[Sequence[int]] | None) -> Wiring | None:
    if plain is None:
        return None
    arrays: list[NDArray[np.int64]] = [np.array(each, dtype=np.int64) for each in plain]
    return Wiring(arrays[0], arrays[1])
