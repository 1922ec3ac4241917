"""What is searched once the parts are: the choice among their members, or every gene of the network from there on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.subnetworks.choices import Choices
from emoprune.problems.networks.subnetworks.genes import PartGenes
from emoprune.problems.networks.subnetworks.part import even_widths
from emoprune.space import IntArray, Space

__all__ = ["EveryGene", "Joint"]


class Joint(Protocol):
    """The genomes of a search that follows those of the parts."""

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        ...

    @property
    def references(self) -> Mapping[str, IntArray]:
        """The unpruned network and what a user would have picked without a search, by name."""
        ...

    @property
    def starts(self) -> IntArray:
        """Where the search begins, the schemes along the impairment ranking among them, shape (starts, genes)."""
        ...

    def kept(self, genome: IntArray, full: Kept) -> Kept:
        """Return the units of all coupling groups that stay; `full` those of the unpruned network."""
        ...

    def taken(self, genome: IntArray) -> Mapping[str, str]:
        """Return which member each part takes, if that is what a genome says."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class EveryGene:
    """The genes of the whole network, those of channels that cross a cut among them; schemes are where it begins.

    Args:
        choices: What the parts led to.
        genes: Of all coupling groups, in the same form as those of the parts.
        full: The units of the unpruned network.
        named: What a user would have picked without a search, as the units of each coupling group.
    """

    choices: Choices
    genes: PartGenes
    full: Kept
    named: Mapping[str, IntArray]

    @property
    def space(self) -> Space:
        """The genes of every coupling group."""
        return self.genes.space

    @property
    def references(self) -> Mapping[str, IntArray]:
        """The unpruned network and the references, free to prune what crosses a cut as the search is."""
        widths = {name: self.genes.of_widths(widths) for name, widths in self.named.items()}
        return {"unpruned": self.genes.of_kept(self.full), **widths}

    @property
    def starts(self) -> IntArray:
        """What the schemes keep, as genes of the whole network, and networks that are as narrow everywhere."""
        even = [self.genes.of_widths(widths) for widths in even_widths([len(units) for units in self.full])]
        schemes = [self.genes.of_kept(self.choices.kept(chosen, self.full)) for chosen in self.choices.starts]
        return np.stack([*schemes, *even])

    def kept(self, genome: IntArray, full: Kept) -> Kept:  # noqa: ARG002  # a genome says it of every group
        """Return the units of all coupling groups that stay."""
        return self.genes.kept(genome)

    def taken(self, genome: IntArray) -> Mapping[str, str]:  # noqa: ARG002  # the contract's
        """Return nothing: a genome takes no members."""
        return {}
