"""What an audit of subsets is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.scores.evidence import Evidence
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
        numbers: The number of each candidate.
        evidence: Measures how candidates compare with all columns on folds that did not lead the search, by number.
    """

    task: TableTask
    loaded: Loaded
    subsets: tuple[tuple[Term, ...], ...]
    folder: Path
    seed: int
    numbers: tuple[int, ...]
    evidence: Callable[[], Mapping[int, Evidence]]
