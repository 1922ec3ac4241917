"""What is measured of genomes, held against what a row must be."""

from __future__ import annotations

import math
import numbers

from emoprune.contracts import Failure, Problem, Row, SeedArray, Split, own_constraints_of
from emoprune.errors import ContractError
from emoprune.space import IntArray
from emoprune.testing.promises import require

__all__ = ["Measured", "column_names", "measured"]

Measured = tuple[float, ...] | Failure


def column_names(problem: Problem) -> list[str]:
    """Return what the values of a row are called: objectives, then constraints."""
    return [objective.name for objective in problem.objectives] + [bound.name for bound in own_constraints_of(problem)]


def measured(problem: Problem, genomes: IntArray, seeds: SeedArray, split: Split) -> list[Measured]:
    """Evaluate a batch and insist on a proper row for each genome.

    Args:
        problem: Set up.
        genomes: Shape (n, genes).
        seeds: Shape (n,).
        split: The part of the data.

    Raises:
        ContractError: Something was raised, or a row is none.
    """
    try:
        rows = problem.evaluate(genomes.copy(), seeds.copy(), split)
    except Exception as error:
        raise ContractError(f"evaluate on {split}: expected a Failure where a genome fails; found {error!r}") from error
    require(len(rows) == len(genomes), f"evaluate on {split}: expected {len(genomes)} rows", len(rows))
    width = len(column_names(problem))
    return [_checked(row, width) for row in rows]


def _checked(row: Row, width: int) -> Measured:
    if isinstance(row, Failure):
        return row
    require(len(row) == width, f"evaluate: expected {width} values per row, objectives then constraints", row)
    plain = all(isinstance(value, numbers.Real) and math.isfinite(value) for value in row)
    require(plain, "evaluate: expected finite numbers, or a Failure with the reason", row)
    return tuple(float(value) for value in row)
