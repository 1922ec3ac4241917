"""How a network is cut, and its parts as problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.evaluation.proxies.estimating import estimating_norms
from emoprune.problems.networks.subnetworks.chain import Chain
from emoprune.problems.networks.subnetworks.division import SubNetwork, divided
from emoprune.problems.networks.subnetworks.genes import GeneForm, PartGenes
from emoprune.problems.networks.subnetworks.part import PartProblem
from emoprune.problems.networks.task import NetworkTask
from emoprune.space import IntArray

__all__ = ["Crossing", "Cut", "Parts", "Rest"]

Crossing = Literal["whole", "searched"]
Rest = Literal["frozen", "adapted"]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a config wants a network cut: into how many parts, or where, and what becomes of what crosses the cuts."""

    parts: int
    by_hand: Sequence[str]
    crossing: Crossing
    rest: Rest


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The parts of a network, those for channels that cross a cut last, and what is needed to search them."""

    task: NetworkTask
    chain: Chain
    form: GeneForm
    parts: tuple[SubNetwork, ...]
    freezable: tuple[str, ...]

    @classmethod
    def of(cls, task: NetworkTask, network: nn.Module, form: GeneForm, cut: Cut) -> Parts:
        """Cut the task's network.

        Raises:
            ConfigError: It cannot be cut so.
        """
        chain = Chain.of(network, task.structure)
        sizes = [form.bits(group) for group in task.structure.groups]
        division = divided(chain, sizes, cut.parts, cut.by_hand)
        crossing = division.whole if cut.crossing == "searched" else ()
        small = [SubNetwork(f"crossing-{n}", (group,), chained=False) for n, group in enumerate(crossing, start=1)]
        norms = sorted(estimating_norms(network)) if cut.rest == "frozen" else ()
        return cls(task, chain, form, (*division.parts, *small), tuple(norms))

    def problems(self, scores: Sequence[Scores], named: Mapping[str, IntArray]) -> dict[str, PartProblem]:
        """Return the parts as problems, by name.

        Args:
            scores: Of the units of every coupling group of the network.
            named: What a user would have picked without a search, as widths of every coupling group.
        """
        return {
            part.name: PartProblem(
                part, self.task, self._genes(part.groups, scores), self._frozen_outside(part), dict(named)
            )
            for part in self.parts
        }

    def unranked(self) -> list[PartProblem]:
        """Return the parts before there are scores: to say how large they are."""
        return list(self.problems([np.zeros(units) for units in self.task.structure.units], {}).values())

    def every_gene(self, scores: Sequence[Scores]) -> PartGenes:
        """Return the genes of all coupling groups, in the form of the parts' genes."""
        return self._genes(range(len(self.task.structure.groups)), scores)

    def _genes(self, groups: Sequence[int], scores: Sequence[Scores]) -> PartGenes:
        every = self.task.structure.groups
        return self.form.genes([every[group] for group in groups], [scores[group] for group in groups])

    def _frozen_outside(self, part: SubNetwork) -> frozenset[str]:
        """Return the batch norms that keep the unpruned network's statistics while a part is searched."""
        ends = self.chain.ends
        return frozenset(path for path in self.freezable if path in ends and not part.holds(ends[path]))
