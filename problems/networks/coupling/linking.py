"""From links between channels to units and coupling groups: the connected components, and those that lie alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.networks.coupling.structure import FIXED, CouplingGroup, Whole, Wiring

__all__ = ["TOGETHER", "UNREAD", "Channels", "GroupOf", "Links", "Side", "components_of", "coupled"]

TOGETHER = "its channels can only go all together"
UNREAD = "no layer reads them as its channels"

GroupOf = Callable[[NDArray[np.int64]], frozenset[int]]  # the numbers of the coupling groups that channels are in
Side = tuple[str, str]  # a part's path, and `out` or `in`


@dataclass(slots=True)
class Links:
    """Sides of parts with their channels numbered through, and pairs of channels that go together.

    `sides` holds the channels of each side, of shape (width,); a side that only `counts` is no member of a coupling
    group. What is in `fixed` and in `fixed_channels` never goes, with the reason.
    """

    sides: dict[Side, NDArray[np.int64]] = field(default_factory=dict)
    pairs: list[NDArray[np.int64]] = field(default_factory=list)
    fixed: list[tuple[Side, str]] = field(default_factory=list)
    fixed_channels: list[tuple[NDArray[np.int64], str]] = field(default_factory=list)
    counts: set[Side] = field(default_factory=set)
    total: int = 0

    def free(self, width: int) -> NDArray[np.int64]:
        """Return channels that are numbered, but are no part's."""
        start, self.total = self.total, self.total + width
        return np.arange(start, self.total, dtype=np.int64)

    def add(self, side: Side, width: int) -> NDArray[np.int64]:
        """Number the channels of one side of a part and return them; one that is there already keeps its own."""
        if side not in self.sides:
            self.sides[side] = self.free(width)
        return self.sides[side]

    def labels(self, side: Side) -> NDArray[np.int64] | None:
        """Return the channels of a side, None if there is none."""
        return self.sides.get(side)

    def fix(self, path: str, reason: str, sides: Sequence[str] = ("in", "out")) -> None:
        """Say that no channel on these sides of a part ever goes, and why."""
        self.fixed += [((path, side), reason) for side in sides if (path, side) in self.sides]

    def join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Say that channels go together, pair by pair."""
        self.pairs.append(np.stack([one, other]))


@dataclass(frozen=True, slots=True)
class Channels:
    """What linking found: coupling groups, where each side's channels belong, and what stays whole and why."""

    groups: tuple[CouplingGroup, ...]
    wirings: Mapping[Side, Wiring]
    wholes: tuple[Whole, ...]
    groups_of: GroupOf
    wiring_of: Callable[[NDArray[np.int64]], Wiring]  # of any channels; negative ones are none


def coupled(links: Links, order: Mapping[str, int], producing: frozenset[str]) -> Channels:
    """Return the units that linked channels make up, grouped by the sides on which they lie.

    Units that lie on the same sides, equally often, make one coupling group. A unit that no part takes in and one that
    no weighted part puts out, which comes from the inputs, stay.

    Args:
        links: The sides and their links.
        order: When each part runs.
        producing: The paths of parts that can put out fewer channels.
    """
    components = components_of(links)
    signatures = _signatures(links, components)
    reasons = _reasons(links, components, signatures, producing)
    by_signature: dict[tuple[tuple[Side, int], ...], list[int]] = defaultdict(list)
    for component, signature in enumerate(signatures):
        if component not in reasons:
            by_signature[signature].append(component)
    for signature, own in list(by_signature.items()):
        if len(own) == 1:
            reasons[own[0]] = TOGETHER
            del by_signature[signature]
    named = _named(by_signature, order, producing, links.counts)
    groups = tuple(group for group, _ in named)
    place = {component: (number, unit) for number, (_, own) in enumerate(named) for unit, component in enumerate(own)}
    wirings = {side: _wiring(components[labels], place) for side, labels in links.sides.items()}

    def groups_of(labels: NDArray[np.int64]) -> frozenset[int]:
        return frozenset(place[component][0] for component in components[labels].tolist() if component in place)

    def wiring_of(labels: NDArray[np.int64]) -> Wiring:
        return _wiring(np.where(labels < 0, FIXED, components[labels]), place)

    return Channels(groups, wirings, _wholes(links, components, reasons, order, producing), groups_of, wiring_of)


def components_of(links: Links) -> NDArray[np.int64]:
    """Return the number of each channel's unit, counted in the order of the channels, shape (channels,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate(links.pairs, axis=1) if links.pairs else np.empty((2, 0), dtype=np.int64)
    graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(links.total, links.total))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def _signatures(links: Links, components: NDArray[np.int64]) -> list[tuple[tuple[Side, int], ...]]:
    """Return for each unit the sides on which it lies, and how many of each side's channels it holds."""
    found: list[list[tuple[Side, int]]] = [[] for _ in range(int(components.max(initial=-1)) + 1)]
    for side, labels in links.sides.items():
        own, counts = np.unique(components[labels], return_counts=True)
        for component, count in zip(own.tolist(), counts.tolist(), strict=True):
            found[component].append((side, count))
    return [tuple(sorted(each)) for each in found]


def _reasons(
    links: Links,
    components: NDArray[np.int64],
    signatures: Sequence[tuple[tuple[Side, int], ...]],
    producing: frozenset[str],
) -> dict[int, str]:
    """Return why units stay, for those that do."""
    reasons: dict[int, str] = {}
    fixed = [(links.sides[side], reason) for side, reason in links.fixed] + links.fixed_channels
    for labels, reason in fixed:
        for component in np.unique(components[labels]).tolist():
            reasons.setdefault(component, reason)
    for component, signature in enumerate(signatures):
        sides = [side for side, _ in signature]
        if not any(side == "in" for _, side in sides):
            reasons.setdefault(component, UNREAD)
        if not any(side == "out" and path in producing for path, side in sides):
            reasons.setdefault(component, "they are the network's inputs")
    return reasons


def _named(
    by_signature: Mapping[tuple[tuple[Side, int], ...], list[int]],
    order: Mapping[str, int],
    producing: frozenset[str],
    counts: Set[Side],
) -> list[tuple[CouplingGroup, list[int]]]:
    """Return the coupling groups in the order in which their first producers run, with their units' components."""
    made = []
    for signature, own in by_signature.items():
        sides = (side for side, _ in signature if side not in counts)
        members = sorted(sides, key=lambda side: (order[side[0]], side[1] == "in"))
        producers = [path for path, side in members if side == "out" and path in producing]
        # The first producer names the group and stands first among its members.
        first = (producers[0], "out")
        members.sort(key=lambda side: side != first)
        made.append((order[producers[0]], own[0], members, own))
    taken: dict[str, int] = {}
    named = []
    for _, _, members, own in sorted(made, key=lambda each: each[:2]):
        name = members[0][0]
        taken[name] = taken.get(name, 0) + 1
        full = name if taken[name] == 1 else f"{name}#{taken[name]}"
        named.append((CouplingGroup(full, len(own), tuple(members)), own))
    return named


def _wiring(components: NDArray[np.int64], place: Mapping[int, tuple[int, int]]) -> Wiring:
    own = [place.get(component, (FIXED, 0)) for component in components.tolist()]
    places = np.array(own, dtype=np.int64).reshape(-1, 2)
    return Wiring(places[:, 0].copy(), places[:, 1].copy())


def _wholes(
    links: Links,
    components: NDArray[np.int64],
    reasons: Mapping[int, str],
    order: Mapping[str, int],
    producing: frozenset[str],
) -> tuple[Whole, ...]:
    """Return for each producing part the channels that stay, by reason, in the order in which the parts run."""
    found = []
    for path in sorted(producing & set(order), key=lambda each: order[each]):
        side = (path, "out")
        if side not in links.sides:
            continue
        own = components[links.sides[side]].tolist()
        counted: dict[str, int] = {}
        for component in own:
            if component in reasons:
                counted[reasons[component]] = counted.get(reasons[component], 0) + 1
        found += [Whole(path, count, reason) for reason, count in counted.items()]
    return tuple(found)
