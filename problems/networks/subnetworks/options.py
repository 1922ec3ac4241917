"""What the problem of sub-networks can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from emoprune.problems.networks.channels.options import ChannelOptions
from emoprune.problems.networks.subnetworks.parts import Crossing, Rest

__all__ = ["SubnetworkOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetworkOptions(ChannelOptions):
    """How a network is cut into parts, how they are searched, and what is searched at last.

    Args:
        widths: How many widths each coupling group can take, for genes of levels.
        references: What a user would have picked without a search; those that need no measuring.
        objectives: What is minimised; one that scores outputs and one that is counted are needed.
        at_most: Bounds by measure; they hold for the whole network, not for parts.
        parts: How many, cut so that their search spaces are of about the same size; 1 searches the whole network.
        cuts: After which modules to cut instead, as in `blocks.3`; `emoprune groups` shows where it can be cut.
        crossing: Whether channels that cross a cut stay whole, or are searched as small parts of their own.
        genes: levels (how many of the best units of each coupling group stay) or units (a bit for each unit).
        rest: Whether the batch norms behind a part are estimated anew while it is searched (adapted), or frozen.
        joint: What is searched once the parts are: which member of each part's front is taken (members), or every gene
            of the network, of channels that cross a cut, too, beginning with the schemes along the ranking (genes).
        part_images: How many of the search images parts are measured on; None for all of them.
        part_search: What differs from `search` while parts are searched, as in {population: 20, generations: 10}.
    """

    problem: ClassVar[str] = "subnetworks"

    references: Sequence[str | Mapping[str, Any]] = ("uniform", "global-magnitude")
    parts: int = 2
    cuts: Sequence[str] = ()
    crossing: Crossing = "whole"
    genes: Literal["levels", "units"] = "levels"
    rest: Rest = "adapted"
    joint: Literal["members", "genes"] = "members"
    part_images: int | None = None
    part_search: Mapping[str, Any] | None = None
