"""How subsets compare with all columns on folds that did not lead the search, new features being found anew on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.formulas.formula import Column, Formula, Term
from emoprune.problems.tables.rows.splits import Block, folds_of
from emoprune.problems.tables.scores.evidence import ALL_COLUMNS, GUESS, Evidence, compared, shrunk
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["FoundAnew", "evidence_of", "fresh_cuts"]

FloatArray = NDArray[np.float64]

# The folds of one cut to the ranking of new features that the training rows of each find; None if none are looked for.
FoundAnew = Callable[[Sequence[Block]], Sequence[Sequence[Formula]] | None]

FOLDS = 5  # at least, if there are rows for them: few folds say little of how much a difference varies
ROWS_PER_FOLD = 10
REPEATS = 2
MANY_ROWS = 1000  # which say as much when they are cut once, and take as long


def fresh_cuts(task: TableTask, seed: int) -> list[tuple[Block, ...]]:
    """Return all rows but those to test on, cut into folds anew, again and again; those in the order of time once."""
    rows = np.sort(np.concatenate([task.parts.search, task.parts.select.scored]))
    repeats = REPEATS if len(rows) < MANY_ROWS else 1
    asked = task.options.cut
    cut = replace(asked, folds=max(asked.folds, min(FOLDS, len(rows) // ROWS_PER_FOLD)))
    cuts = [folds_of(task.table, rows, cut, seed + turn + 1) for turn in range(repeats)]
    different = {tuple(block.scored.tobytes() for block in blocks): blocks for blocks in cuts}
    return list(different.values())


def evidence_of(
    task: TableTask,
    settings: Sequence[Loaded],
    subsets: Mapping[int, Sequence[Term]],
    survivors: Sequence[Formula],
    *,
    found_anew: FoundAnew,
    whole_kept: bool,
    seed: int,
) -> dict[int, Evidence]:
    """Return the evidence on each subset, held against all columns; nothing where rows make only one fold.

    Where all columns are no better than a guess that looks at none, subsets are held against the guess: where there is
    nothing to learn, whatever learns less is better than all columns, but nothing to keep.

    All columns and the first so many survivors stand for a way to find features: on each fold the subset has the first
    so many that the fold's training rows find. Of other ones only those count that are found there at all, unless
    they stand in for columns; but that leaves the scored rows a say in which they are, so they are charged with what
    that is worth to the former.

    Args:
        task: The table and its parts.
        settings: The learner with each of its settings, and what computes features. All columns and more may each want
            another one, and another length of training: every subset has those with which it loses least.
        subsets: By number.
        survivors: The new features, the best first.
        found_anew: Finds new features on the training rows of folds.
        whole_kept: Whether all columns stay, so that new features stand in for none.
        seed: All randomness.
    """
    cuts = fresh_cuts(task, seed)
    folds = [block for blocks in cuts for block in blocks]
    if len(folds) < 2:
        return {}

    def lost(by_fold: Sequence[Sequence[Term]]) -> FloatArray:
        found = [
            [task.staged_losses(each, block, terms, seed) for block, terms in zip(folds, by_fold, strict=True)]
            for each in settings
        ]
        staged = np.concatenate([_in_line(losses) for losses in found], axis=1)
        return np.asarray(staged[:, np.argmin(staged.mean(axis=0))])

    whole, guessed = (lost([terms] * len(folds)) for terms in (task.table.terms, ()))
    against, held = (GUESS, guessed) if guessed.mean() < whole.mean() else (ALL_COLUMNS, whole)
    found = [found_anew(blocks) for blocks in cuts]
    rankings = [ranking for each in found if each is not None for ranking in each]
    if whole_kept:
        task.admit({block.key: frozenset(ranking) for block, ranking in zip(folds, rankings, strict=bool(rankings))})

    def evidence(by_fold: Sequence[Sequence[Term]]) -> Evidence:
        return replace(compared(lost(by_fold), held), against=against)

    plain = {number: evidence([terms] * len(folds)) for number, terms in subsets.items()}
    if not rankings:
        return plain

    def anew(terms: Sequence[Term], count: int) -> Evidence:
        """Return the evidence on the columns of a subset and the first so many features that each fold finds."""
        columns = [term for term in terms if isinstance(term, Column)]
        return evidence([(*columns, *ranking[:count]) for ranking in rankings])

    firsts = {number: _firsts(terms, task.table.terms, survivors) for number, terms in subsets.items()}
    again = {number: anew(subsets[number], count) for number, count in firsts.items() if count}
    return {**_charged(plain, again, firsts), **shrunk(again)}


def _in_line(losses: Sequence[FloatArray]) -> FloatArray:
    """Return losses by fold and stage, shape (folds, stages); the last one is that of all stages that were left out."""
    stages = max(map(len, losses))
    return np.array([[*each, *[each[-1]] * (stages - len(each))] for each in losses])


def _firsts(terms: Sequence[Term], columns: Sequence[Term], survivors: Sequence[Formula]) -> int | None:
    """Return how many of the first survivors are what a subset has beside all columns; None if it is something else."""
    new = {term for term in terms if not isinstance(term, Column)}
    added = set(columns) <= set(terms) and new == set(survivors[: len(new)])
    return len(new) if added or not new else None


def _charged(
    plain: Mapping[int, Evidence], again: Mapping[int, Evidence], firsts: Mapping[int, int | None]
) -> dict[int, Evidence]:
    """Charge subsets of other features with the most that it is worth that the scored rows had a say."""
    worth = [own.difference - plain[number].difference for number, own in again.items()]
    charge = max([0.0, *worth])
    return {
        number: own if firsts[number] is not None else replace(own, difference=own.difference + charge)
        for number, own in plain.items()
    }
