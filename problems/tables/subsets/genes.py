"""Genomes of subsets: a bit per column or new feature that may go, and slots that can hold any of many others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from emoprune.errors import ContractError
from emoprune.problems.tables.formulas.formula import Term, unique_names
from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["SubsetGenes"]

NOTHING = "nothing to choose"  # the one gene, of one level, where all is kept and there is nothing new


@dataclass(frozen=True)
class SubsetGenes:
    """What a genome means.

    What is `always` kept has no gene, and comes first. Level 0 of a slot is empty, level i holds the i-th of `others`.
    Slots are interchangeable, and what is in two slots is in one of them.
    """

    bits: tuple[Term, ...]
    others: tuple[Term, ...] = ()
    slots: int = 0
    always: tuple[Term, ...] = ()
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        slots = self.slots if self.others else 0
        object.__setattr__(self, "slots", slots)
        genes = [Gene(name) for name in unique_names(self.bits)]
        genes += [Gene(f"slot {turn + 1}", len(self.others) + 1, GeneKind.CATEGORY) for turn in range(slots)]
        if self.always and not genes:
            genes = [Gene(NOTHING, 1, GeneKind.ORDERED)]
        groups = [Group("kept", tuple(range(len(genes))), floor=0 if self.always else 1)]
        if slots:
            groups.append(Group("slots", tuple(range(len(self.bits), len(genes))), interchangeable=True))
        object.__setattr__(self, "space", Space(tuple(genes), tuple(groups)))

    def decoded(self, genome: IntArray) -> tuple[Term, ...]:
        """Return what a genome of shape (genes,) keeps, in the order of the genes."""
        kept = [self.bits[place] for place in np.flatnonzero(genome[: len(self.bits)])]
        held = dict.fromkeys(genome[len(self.bits) :].tolist())
        return (*self.always, *kept, *(self.others[level - 1] for level in held if level))

    def encoded(self, terms: Sequence[Term]) -> IntArray:
        """Return the genome that keeps these, beside what is always kept.

        Raises:
            ContractError: One of them can be kept by no bit and no slot.
        """
        genome = np.zeros(len(self.space), dtype=np.int64)
        bits = {term: place for place, term in enumerate(self.bits)}
        levels = {term: place + 1 for place, term in enumerate(self.others)}
        chosen = [term for term in terms if term not in self.always]
        held = sorted(levels[term] for term in chosen if term not in bits and term in levels)
        if len(held) > self.slots or any(term not in bits and term not in levels for term in chosen):
            raise ContractError(
                f"expected columns and features that genes stand for, found {', '.join(map(str, terms))}"
            )
        genome[[bits[term] for term in chosen if term in bits]] = 1
        if held:
            genome[-len(held) :] = held
        return genome

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes of shape (n, genes) with each thing in one slot at most, and the slots sorted."""
        if not self.slots:
            return genomes.copy()
        slots = np.sort(genomes[:, len(self.bits) :], axis=1)
        slots[:, 1:][slots[:, 1:] == slots[:, :-1]] = 0
        return np.hstack([genomes[:, : len(self.bits)], np.sort(slots, axis=1)])
