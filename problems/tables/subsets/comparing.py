"""How subsets compare with all columns on folds that did not lead the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.evidence import Evidence, compared
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.splits import Block, folds_of
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["Admitted", "evidence_of", "fresh_folds"]

IntArray = NDArray[np.int64]

Admitted = Callable[[IntArray], frozenset[Term] | None]  # rows to the new features that these alone find; None for all

REPEATS = 3
MANY_ROWS = 3000  # from which one cut into folds says as much, and costs as much


def fresh_folds(task: TableTask, seed: int) -> tuple[Block, ...]:
    """Return folds of all rows but those to test on, cut anew, again and again; those in the order of time once."""
    rows = np.sort(np.concatenate([task.parts.search, task.parts.select.scored]))
    repeats = REPEATS if len(rows) < MANY_ROWS else 1
    cuts = [folds_of(task.table, rows, task.options.cut, seed + turn + 1) for turn in range(repeats)]
    different = {block.scored.tobytes(): block for blocks in cuts for block in blocks}
    return tuple(different.values())


def evidence_of(
    task: TableTask,
    loaded: Loaded,
    subsets: Mapping[int, Sequence[Term]],
    admitted: Admitted,
    seed: int,
) -> dict[int, Evidence]:
    """Return the evidence on each subset, held against all columns; nothing where rows make only one fold.

    New features are looked for on the training rows of each fold again, and one that is not found there does not count
    on it: otherwise the rows that score a feature would have had a say in finding it.
    """
    folds = fresh_folds(task, seed)
    if len(folds) < 2:
        return {}
    found = {block.key: admitted(block.train) for block in folds}
    task.admit({key: own for key, own in found.items() if own is not None})
    whole = task.losses(loaded, folds, task.table.terms, seed)
    shares = [len(block.scored) / (len(block.scored) + len(block.train)) for block in folds]
    return {
        number: compared(task.losses(loaded, folds, terms, seed), whole, float(np.mean(shares)))
        for number, terms in subsets.items()
    }
