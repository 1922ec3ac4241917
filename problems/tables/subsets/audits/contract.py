"""What an audit of subsets is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["SubsetFront"]


@dataclass(frozen=True, slots=True, eq=False)
class SubsetFront:
    """Subsets along a front, and what they were measured with.

    Args:
        task: The table, its parts and the metric.
        loaded: The learner, and what computes features.
        subsets: What each candidate keeps, in the order of the front's second objective.
        folder: A folder of the run in which something may be kept.
        seed: All randomness of the audit.
    """

    task: TableTask
    loaded: Loaded
    subsets: tuple[tuple[Term, ...], ...]
    folder: Path
    seed: int
