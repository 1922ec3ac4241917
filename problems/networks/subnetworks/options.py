"""What the problem of sub-networks can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from emoprune.plugins import naming
from emoprune.problems.networks.channels.options import ChannelOptions
from emoprune.problems.networks.recovery.options import RecoveryOptions
from emoprune.problems.networks.subnetworks.parts import Crossing, Rest
from emoprune.problems.networks.subnetworks.training import Order

__all__ = ["SubnetworkOptions", "SubnetworkRecoveryOptions"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetworkRecoveryOptions(RecoveryOptions):
    """How a network is won back part by part, or as a whole.

    Args:
        method: constrained, finetune, distil, another one of `emoprune list recoveries`, or a mapping of a name and
            options.
        feature_weight: How much the unpruned part's features count beside the labels when constrained.
        order: In which order parts are trained: together, forward or backward.
    """

    problem: ClassVar[str] = SubnetworkOptions.problem

    method: Annotated[str | Mapping[str, Any], naming("recovery", "subnetworks")] = "constrained"
    feature_weight: float = 10.0
    order: Order = "together"

    @property
    def shared(self) -> dict[str, Any]:
        """What is handed on to methods that know it."""
        # slots=True makes the class anew, and a bare super() would look for the first one.
        own = super(SubnetworkRecoveryOptions, self).shared
        return {**own, "feature_weight": self.feature_weight, "order": self.order}
