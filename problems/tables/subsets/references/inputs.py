"""What reference methods of subsets may look at, and what they hand back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Reference
from emoprune.problems.tables.formulas.formula import Formula, Term
from emoprune.problems.tables.subsets.genes import SubsetGenes
from emoprune.problems.tables.subsets.references.information import information
from emoprune.problems.tables.task import Loaded, TableTask
from emoprune.space import Space

__all__ = ["ReferenceInputs", "SubsetReference", "sizes"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SubsetReference(Reference):
    """A reference that also says what it keeps, in the order in which that was found."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A task on the rows to search on, and the columns and new features that there are genes for.

    Args:
        task: The table, its rows to search on (`parts.search`, cut into `parts.folds`) and the metric.
        loaded: The learner, and what computes features.
        genes: What genomes mean.
        openfe: OpenFE's plain answer, the most important feature first.
        survivors: The new features that have a bit each.
        seed: The run's.
        rng: All randomness of the method.
        asked: The losses that the method asked for; a method that asks for some is led by the rows that score.
        most_informative: Returns the places of the columns, those first that tell most of the target alone, shape
            (columns,); found once for all methods.
    """

    task: TableTask
    loaded: Loaded
    genes: SubsetGenes
    openfe: Sequence[Formula]
    survivors: Sequence[Formula]
    seed: int
    rng: np.random.Generator
    most_informative: Callable[[], IntArray]
    asked: list[float] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        task: TableTask,
        loaded: Loaded,
        genes: SubsetGenes,
        *,
        openfe: Sequence[Formula],
        survivors: Sequence[Formula],
        seed: int,
    ) -> ReferenceInputs:
        """Return the inputs of a method that is called nothing in particular."""

        def most_informative() -> IntArray:
            found = information(loaded.computed, task.parts.select, task.table.terms, seed)
            return np.asarray(np.argsort(-found, kind="stable"))

        rng = np.random.default_rng(seed)
        return cls(task, loaded, genes, openfe, survivors, seed, rng, cache(most_informative))

    def called(self, method: str) -> ReferenceInputs:
        """Return the inputs of a method, with randomness of its own: leaving one out does not change the others."""
        return replace(self, rng=np.random.default_rng([self.seed, *method.encode()]), asked=[])

    @property
    def space(self) -> Space:
        """Which genomes are legal."""
        return self.genes.space

    @property
    def columns(self) -> tuple[Term, ...]:
        """The table's columns."""
        return self.task.table.terms

    def loss(self, terms: Sequence[Term]) -> float:
        """Return what a model of these inputs loses on the first fold, in the metric made smaller."""
        self.asked.append(float(self.task.losses(self.loaded, self.task.parts.folds[:1], terms, self.seed)[0]))
        return self.asked[-1]

    def keeping(self, name: str, terms: Sequence[Term]) -> SubsetReference:
        """Return the reference that keeps these.

        Raises:
            ContractError: There are no genes for one of them.
        """
        return SubsetReference(name, self.genes.encoded(terms), tuple(terms))

    def first(self, method: str, order: Sequence[int] | IntArray) -> tuple[SubsetReference, ...]:
        """Return the first half, quarter and eighth of the columns in an order, each by a name with its size."""
        return tuple(
            self.keeping(f"{method}-{size}", [self.columns[place] for place in sorted(order[:size])])
            for size in sizes(len(self.columns))
        )


def sizes(columns: int) -> list[int]:
    """Return half, a quarter and an eighth of a number of columns, each once and at least 1."""
    return [size for size in dict.fromkeys(columns // share for share in (2, 4, 8)) if size]
