"""What the genes of a part mean: how many of each coupling group's best units stay, or which units stay one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import CouplingGroup, Kept
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.space import Group, IntArray, Space

__all__ = ["GeneForm", "LevelGenes", "PartGenes", "UnitGenes"]


class PartGenes(Protocol):
    """Genes over some coupling groups."""

    @property
    def space(self) -> Space:
        """Which genomes are legal; no group is ever left without units."""
        ...

    def kept(self, genome: IntArray) -> Kept:
        """Return the units of each of the groups that stay with a genome of shape (genes,)."""
        ...

    def of_widths(self, widths: IntArray) -> IntArray:
        """Return the genome, shape (genes,), that keeps the best units of every group, as many or a few more.

        `widths` has shape (groups,).
        """
        ...

    def of_kept(self, kept: Kept) -> IntArray:
        """Return the genome, shape (genes,), that keeps these units, as `kept` returns them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LevelGenes:
    """One ordered gene per coupling group: how many of its best units stay."""

    levels: WidthLevels
    scores: tuple[Scores, ...]

    @property
    def space(self) -> Space:
        """One ordered gene per group."""
        return self.levels.space

    def kept(self, genome: IntArray) -> Kept:
        """Return the best units of each group."""
        widths = self.levels.decode(genome[np.newaxis])[0].tolist()
        return [kept_units(scores, width) for scores, width in zip(self.scores, widths, strict=True)]

    def of_widths(self, widths: IntArray) -> IntArray:
        """Return the genome of the narrowest widths that are not below these."""
        return self.levels.encode(widths)

    def of_kept(self, kept: Kept) -> IntArray:
        """Return the genome that keeps so many units of each group."""
        return self.levels.encode(np.array([len(units) for units in kept], dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class UnitGenes:
    """One bit per unit of each coupling group: whether it stays; one of each group always does."""

    groups: tuple[CouplingGroup, ...]
    scores: tuple[Scores, ...]

    @property
    def _starts(self) -> IntArray:
        return np.cumsum([0, *(group.units for group in self.groups)])

    @property
    def space(self) -> Space:
        """One bit per unit, and a floor of one for each group."""
        names = [f"{group.name}.{unit}" for group in self.groups for unit in range(group.units)]
        places = [range(start, start + group.units) for start, group in zip(self._starts, self.groups, strict=False)]
        floors = [Group(group.name, tuple(own), floor=1) for group, own in zip(self.groups, places, strict=True)]
        return Space.bits(names, groups=floors)

    def kept(self, genome: IntArray) -> Kept:
        """Return the units whose bits are on."""
        return [np.flatnonzero(bits) for bits in np.split(genome, self._starts[1:-1])]

    def of_widths(self, widths: IntArray) -> IntArray:
        """Return the genome with the bits of the best units on."""
        return self.of_kept(
            [kept_units(scores, width) for scores, width in zip(self.scores, widths.tolist(), strict=True)]
        )

    def of_kept(self, kept: Kept) -> IntArray:
        """Return the genome with the bits of these units on."""
        genome = np.zeros(self._starts[-1], dtype=np.int64)
        for start, units in zip(self._starts[:-1], kept, strict=True):
            genome[start + units] = 1
        return genome


@dataclass(frozen=True, slots=True)
class GeneForm:
    """Which genes a config wants: `levels` or `units`, and which widths the levels stand for."""

    kind: Literal["levels", "units"]
    widths: int
    round_to: int
    smallest: float

    def genes(self, groups: Sequence[CouplingGroup], scores: Sequence[Scores]) -> PartGenes:
        """Return genes over some coupling groups."""
        if self.kind == "units":
            return UnitGenes(tuple(groups), tuple(scores))
        return LevelGenes(WidthLevels.of(groups, self.widths, self.round_to, self.smallest), tuple(scores))

    def bits(self, group: CouplingGroup) -> float:
        """Return how many bits a group's genes hold."""
        if self.kind == "units":
            return group.units
        return float(np.log2(max(2, len(WidthLevels.of([group], self.widths, self.round_to, self.smallest).table[0]))))
