"""Cutting a network into parts with search spaces of about the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from emoprune.errors import ConfigError
from emoprune.problems.networks.subnetworks.chain import Chain, CutPoint

__all__ = ["Division", "SubNetwork", "divided"]


@dataclass(frozen=True, slots=True)
class SubNetwork:
    """A part of the chain: its coupling groups, and the cut points at its ends, None at the network's own ends.

    What crosses a cut can be a part of its own, not `chained` to the others: it reaches through the whole network.
    """

    name: str
    groups: tuple[int, ...]
    begin: CutPoint | None = None
    end: CutPoint | None = None
    chained: bool = True

    def holds(self, place: int) -> bool:
        """Whether a step of the forward lies in this part."""
        after = self.begin is None or place > self.begin.position
        return after and (self.end is None or place <= self.end.position)


@dataclass(frozen=True, slots=True)
class Division:
    """A network as a chain of parts; `whole` are the coupling groups that cross a cut and keep their full width."""

    parts: tuple[SubNetwork, ...]
    whole: tuple[int, ...]


def divided(chain: Chain, sizes: Sequence[float], parts: int, cuts: Sequence[str] = ()) -> Division:
    """Cut a chain.

    Args:
        chain: What can be cut where.
        sizes: How large the search space of each coupling group is, in bits.
        parts: How many parts; of all ways the one in which their sizes differ least from an even share of the whole.
        cuts: After which modules to cut instead, by hand.

    Raises:
        ConfigError: There are more parts than places to cut, a cut is not legal, or a part has nothing to prune.
    """
    if cuts:
        return _checked(chain, sorted({chain.cut_after(name) for name in cuts}, key=lambda cut: cut.position))
    if parts < 1:
        raise ConfigError(f"parts: expected 1 or more, found {parts}")
    return _checked(chain, _even(chain, sizes, parts))


def _within(chain: Chain, begin: CutPoint | None, end: CutPoint | None) -> tuple[int, ...]:
    """Return the coupling groups that lie in a part from end to end."""
    part = SubNetwork("", (), begin, end)
    return tuple(group for group, span in enumerate(chain.spans) if all(part.holds(step) for step in span))


def _even(chain: Chain, sizes: Sequence[float], parts: int) -> list[CutPoint]:
    """Return the cuts that make the parts' sizes differ least from an even share, by dynamic programming."""
    ends: list[CutPoint | None] = [None, *chain.cuts, None]
    share = sum(sizes) / parts
    last = len(ends) - 1

    def unevenness(begin: int, end: int) -> float:
        own = _within(chain, ends[begin], ends[end])
        return (sum(sizes[group] for group in own) - share) ** 2 if own else math.inf

    best = {0: (0.0, [0])}  # the least unevenness up to an end, with the ends before it
    for _ in range(parts):
        longer: dict[int, tuple[float, list[int]]] = {}
        for begin, (so_far, taken) in best.items():
            for end in range(begin + 1, last + 1):
                total = so_far + unevenness(begin, end)
                if total < longer.get(end, (math.inf, []))[0]:
                    longer[end] = (total, [*taken, end])
        best = longer
    if last not in best:
        raise ConfigError(_too_many(chain, parts))
    return [cut for cut in (ends[place] for place in best[last][1][1:-1]) if cut is not None]


def _too_many(chain: Chain, parts: int) -> str:
    if not chain.cuts:
        return (
            f"parts: expected 1, found {parts}: the network is no chain, everywhere more than one value is still needed"
        )
    named = ", ".join(cut.name for cut in chain.cuts)
    return (
        f"parts: the network cannot be cut into {parts} parts with something to prune in each; it can be cut after "
        f"{named}, and channels that cross a cut keep their full width; ask for fewer"
    )


def _checked(chain: Chain, cuts: Sequence[CutPoint]) -> Division:
    ends: list[CutPoint | None] = [None, *cuts, None]
    parts = []
    for number, (begin, end) in enumerate(pairwise(ends), start=1):
        own = _within(chain, begin, end)
        if not own:
            place = f"after {begin.name}" if begin else "before the first cut"
            legal = ", ".join(cut.name for cut in chain.cuts)
            raise ConfigError(
                f"cuts: the part {place} has no channels to prune: those that cross a cut keep their full width; the "
                f"network can be cut after {legal}"
            )
        parts.append(SubNetwork(f"part-{number}", own, begin, end))
    inside = {group for part in parts for group in part.groups}
    return Division(tuple(parts), tuple(group for group in range(len(chain.spans)) if group not in inside))
