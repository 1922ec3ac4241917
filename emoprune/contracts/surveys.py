"""What a problem may add to generation 0 beside its references: a survey, and references picked from what it measured.

A method that has to measure in order to pick a genome (a sensitivity search, the best of random genomes) names what it
needs measured as `starts`, and picks in `surveyed`. So its evaluations are made by workers, written down and counted
as all others are, and they are candidates themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from emoprune.contracts.objectives import FloatArray
from emoprune.contracts.problem import Reference
from emoprune.space import IntArray

__all__ = ["Starting", "Surveying"]


@runtime_checkable
class Starting(Protocol):
    """A problem that knows more genomes to begin with than its references."""

    def starts(self) -> IntArray:
        """Return genomes for generation 0, shape (n, genes), beside references and samples."""
        ...


@runtime_checkable
class Surveying(Protocol):
    """A problem that picks more references from what was measured."""

    def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
        """Return more references; those not measured yet are measured, still in generation 0.

        Called in the driver, after the references, the starts and the rest of generation 0 were measured on the search
        split, and again if the search is resumed before that generation is over: it must then answer the same.

        Args:
            genomes: All of them, shape (n, genes), in the order in which they were asked for.
            values: The objectives' values and then the constraints', in natural signs, shape (n, objectives +
                constraints); a row of NaN where nothing could be measured.
        """
        ...
