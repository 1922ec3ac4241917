"""One part of a network as a problem of its own: pruned between a frozen beginning and a frozen end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Description, Failure, Objective, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.evaluation.blocks import Averages
from emoprune.problems.networks.evaluation.graded import GradedByImages
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.subnetworks.division import SubNetwork
from emoprune.problems.networks.subnetworks.genes import PartGenes
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = ["PartProblem", "even_widths"]

PERCENTAGES = tuple(range(90, 0, -10))


def even_widths(units: Sequence[int]) -> list[IntArray]:
    """Return the widths of networks that keep every tenth of the units of all coupling groups, wide ones first."""
    return [-(-np.array(units) * share // 100) for share in PERCENTAGES]


@dataclass(eq=False)
class PartProblem(GradedByImages):
    """The channels of one part: measured through the whole network, of which everything else is the unpruned one.

    The rest of the network is what arXiv 2303.16212 calls a pre-trained feature detector: the error of its outputs says
    how well the part still serves it. What comes before the part is computed once and kept; batch-norm statistics are
    estimated anew inside the part, and behind it unless `frozen` names them. The paper's measure is not public; this is
    a reconstruction.

    Args:
        part: Which coupling groups.
        task: The whole network, its data and measures; bounds are the whole's and do not hold for a part.
        genes: What a genome means.
        frozen: The batch norms that keep the unpruned network's statistics.
        named: What a user would have picked without a search, as the units of each of the network's coupling groups.
        in_full: Whether it is measured in full though its scores are means over images.
    """

    part: SubNetwork
    task: NetworkTask
    genes: PartGenes
    frozen: frozenset[str] = frozenset()
    named: Mapping[str, IntArray] = field(default_factory=dict)
    in_full: bool = False
    _held: Loaded | None = None
    _slicer: Slicer | None = None
    space: Space = field(init=False)
    objectives: tuple[Objective, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.space = self.genes.space
        self.objectives = self.task.measures.objectives

    def setup(self, device: str, threads: int) -> None:
        """Refuse: the whole network is loaded once for all of its parts, and given by `attach`."""
        raise ContractError(
            f"{self.part.name}: it is loaded with the whole network ({device}, {threads} threads), not by itself"
        )

    def attach(self, loaded: Loaded, slicer: Slicer) -> None:
        """Take what the whole problem's setup has loaded."""
        self._held, self._slicer = loaded, slicer

    @property
    def _attached(self) -> tuple[Loaded, Slicer]:
        if self._held is None or self._slicer is None:
            raise ContractError(f"{self.part.name}: network and images are not loaded; call the whole problem's setup")
        return self._held, self._slicer

    def kept(self, genome: IntArray) -> Kept:
        """Return the units of every coupling group of the network that stay."""
        whole = list(self.task.structure.full)
        for group, units in zip(self.part.groups, self.genes.kept(genome), strict=True):
            whole[group] = units
        return whole

    def counted(self, genome: IntArray) -> dict[str, float]:
        """Return what the network costs with this part pruned."""
        return self.task.counted(np.array([[len(units) for units in self.kept(genome)]], dtype=np.int64))

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return the objectives of the network with this part pruned."""
        variants, counted = zip(*[self._candidate(own) for own in genomes], strict=True)
        rows = self._measuring.rows(variants, counted, split)
        return [row if isinstance(row, Failure) else list(row)[: len(self.objectives)] for row in rows]

    @property
    def _averages(self) -> Averages:
        if self.in_full:
            return Averages({}, {})
        return self.task.averages.only([each.name for each in self.objectives])

    @property
    def _measuring(self) -> Loaded:
        return self._attached[0]

    def _candidate(self, genome: IntArray) -> tuple[Variant, Mapping[str, float]]:
        variant = replace(self._attached[1].variant_of(self.kept(genome)), frozen=self.frozen)
        return variant, self.counted(genome)

    def evaluate_blocks(
        self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range
    ) -> Sequence[Row]:
        """Return the objectives of the network with this part pruned on some blocks; bounds do not hold for a part."""
        rows = super().evaluate_blocks(genomes, seeds, split, blocks)
        return [row if isinstance(row, Failure) else np.asarray(row)[:, : len(self.objectives)] for row in rows]

    def of_widths(self, widths: IntArray) -> IntArray:
        """Return the genome of the part that a network of these widths, shape (coupling groups,), has."""
        return self.genes.of_widths(widths[list(self.part.groups)])

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned part, then the part of each network that a user would have picked without a search."""
        found = {self.space.key(self.space.full): Reference("unpruned", self.space.full)}
        for name, widths in self.named.items():
            genome = self.of_widths(widths)
            found.setdefault(self.space.key(genome), Reference(name, genome))
        return tuple(found.values())

    def starts(self) -> IntArray:
        """Return one genome for every tenth of the units, shape (shares, genes)."""
        return np.stack([self.of_widths(widths) for widths in even_widths(self.task.structure.units)])

    def describe(self, genome: IntArray) -> Description:
        """Say how many units of each coupling group stay, and what the network costs then."""
        groups = self.task.structure.groups
        described: dict[str, str | int | float] = {
            groups[group].name: f"{len(units)} of {groups[group].units}"
            for group, units in zip(self.part.groups, self.genes.kept(genome), strict=True)
        }
        return described | self.task.described(self.counted(genome))

    def export(self, genome: IntArray, folder: Path) -> Description:  # noqa: ARG002  # the contract's
        """Refuse: a part is no network."""
        raise ConfigError(f"{self.part.name} is a part of a network; export a candidate of the search itself")

    def __getstate__(self) -> dict[str, Any]:
        # The whole problem's setup attaches what was loaded.
        return {**vars(self), "_held": None, "_slicer": None}
