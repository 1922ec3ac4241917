"""What a reference method of heads and neurons may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Reference, Starts
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.genes import GeneLayout, Orders
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.found_references import Methods, each_once, found_by
from emoprune.space import IntArray, Space

__all__ = ["ReferenceInputs", "first_references"]

HALVINGS = 24


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A transformer, what its genes mean, what they cost, and how a criterion ranks its units.

    Attributes:
        opened: The unpruned model in eval mode, its task, its data by part.
        evidence: What criteria look at, among it the calibration batches and each unit's parameters.
        layout: From counts of units to genomes and back.
        cost_model: What counts plans.
        scores: The criterion's, shape (units,) for each group: heads and neurons of each layer in turn.
        orders: The units of each group, the highest score first, shape (units,) each.
        cost: The counted measure that the percentages are of: macs, parameters or bytes.
        percentages: At which references are wanted.
        rng: Where all randomness comes from.
    """

    opened: Opened
    evidence: TransformerEvidence
    layout: GeneLayout
    cost_model: CostModel
    scores: Sequence[Scores]
    orders: Orders
    cost: str
    percentages: Sequence[int]
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        """The genes."""
        return self.layout.space

    def share(self, genome: IntArray) -> float:
        """Return what a genome, shape (genes,), costs of the unpruned one."""
        return self._cost(genome) / self._cost(self.space.full)

    def _cost(self, genome: IntArray) -> float:
        return self.cost_model.counted(self.layout.decode(genome, self.orders))[self.cost]

    def at_percentages(self, name: str, genome_at: Callable[[float], IntArray]) -> tuple[Reference, ...]:
        """Return the most expensive genome within each percentage, `name-P`; none where even the cheapest is beyond.

        Args:
            name: The method's.
            genome_at: From a position from 0 to 1 to a genome; what it costs never falls when the position rises.
        """
        return tuple(self._within(name, genome_at))

    def _within(self, name: str, genome_at: Callable[[float], IntArray]) -> Iterator[Reference]:
        for percentage in self.percentages:
            low, high = 0.0, 1.0
            if self.share(genome_at(low)) > percentage / 100:
                continue
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                low, high = (middle, high) if self.share(genome_at(middle)) <= percentage / 100 else (low, middle)
            yield Reference(f"{name}-{percentage}", genome_at(low))


def first_references(methods: Methods, inputs: ReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick; and what is to be measured for more of them.

    Raises:
        ContractError: A method picks, or wants measured, a genome that is not legal.
    """
    layout, found = inputs.layout, found_by(methods, inputs)
    references = [Reference("unpruned", layout.space.full)]
    for own in found.values():
        for each in own.references:
            genome = layout.space.check(each.genome[np.newaxis], f"reference {each.name!r}")
            references.append(Reference(each.name, layout.canonical(genome)[0]))
    starts = {name: own.starts for name, own in found.items() if own.starts}
    for name, own_starts in starts.items():
        for label, genomes in own_starts.items():
            layout.space.check(genomes, f"reference {name!r}: {label}")
    return each_once(references, layout.space), starts
