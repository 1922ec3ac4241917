"""The first stage: successive featurewise halving on growing blocks of rows, and one of many that are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from emoprune.problems.tables.computing import Computed, is_category
from emoprune.problems.tables.formulas.formula import Column, Formula, reciprocal
from emoprune.problems.tables.openfe.screening import Screen
from emoprune.problems.tables.rows.splits import Block

__all__ = ["diverse", "halved", "lengths", "ranks"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEWEST_ROWS = 50  # in a first block
FALLBACK = 100  # candidates that go on where none adds anything
ALIKE = 0.98  # of the rank correlation: the same order of the rows but for a few
SAMPLED = 2000  # rows on which features are compared


def halved(
    candidates: Sequence[Formula], screen: Screen, *, blocks: int, least: int, rng: np.random.Generator
) -> dict[Formula, float]:
    """Score candidates on growing blocks of rows, dropping the worse half each time; return the scores on all rows.

    Candidates with the very same score on the first block are the same feature and count once. Only those that add
    something come back; if none does, the best hundred.

    Args:
        candidates: Different formulas.
        screen: Says what each adds.
        blocks: The first block has one of so many parts of the rows, the next twice as many rows, and so on.
        least: At so many candidates it goes on with all rows at once.
        rng: Shuffles the rows.
    """
    rows = screen.rows
    order = rng.permutation(rows)
    size = max(rows // blocks, min(rows, FEWEST_ROWS))
    left, first = list(candidates), True
    while size < rows and len(left) > least:
        gains = screen.gains(left, order[:size])
        ranked = np.argsort(-gains, kind="stable")
        if first:
            ranked, first = _each_once(ranked, gains), False
        left = [left[place] for place in ranked[: max(len(ranked) // 2, least)]]
        size = rows if len(left) <= least else min(2 * size, rows)
    gains = screen.gains(left, order)
    ranked = _each_once(np.argsort(-gains, kind="stable"), gains)
    chosen = ranked[gains[ranked] > 0] if (gains > 0).any() else ranked[:FALLBACK]
    return {left[place]: float(gains[place]) for place in chosen}


def _each_once(ranked: IntArray, gains: FloatArray) -> IntArray:
    """Keep the first of each run of equal gains."""
    if len(ranked) < 2:
        return ranked
    ordered = gains[ranked]
    different = np.abs(np.diff(ordered)) > 1e-12 * np.abs(ordered[:-1])
    return np.asarray(ranked[np.concatenate([[True], different])])


def diverse(
    computed: Computed,
    block: Block,
    formulas: Sequence[Formula],
    most: int,
    *,
    by: Callable[[FloatArray], FloatArray] | None = None,
    alike: float = ALIKE,
) -> list[Formula]:
    """Return at most `most` formulas, the first ones first, without those that order the rows as an earlier one does.

    The columns count as earlier ones: a logarithm of a column is nothing new to a tree. Of a quotient and its inverse
    it is always the same one, whichever came first, so that what is found on different rows can be held together. By
    `lengths` only multiples of an earlier one are left out; those are alike whose correlation is above `alike`.
    """
    by = by or ranks
    rows = block.train[:: max(1, len(block.train) // SAMPLED)]
    numbers = [term for term in computed.table.terms if not is_category(term, computed.table)]
    known = np.empty((len(numbers) + most, len(rows)), dtype=np.float32)
    known[: len(numbers)] = by(computed.matrix(numbers, block, rows)).T
    count, kept = len(numbers), list[Formula]()
    for formula in formulas:
        if len(kept) >= most:
            break
        if not is_category(formula, computed.table):
            own = by(computed.matrix((formula,), block, rows))[:, 0]
            if count and np.abs(known[:count] @ own.astype(np.float32)).max() > alike:
                continue
            known[count] = own
            count += 1
            if by is ranks:
                formula = _one_direction(computed, block, rows, formula, own)  # noqa: PLW2901  # the same to a tree
        kept.append(formula)
    return kept


def _one_direction(computed: Computed, block: Block, rows: IntArray, formula: Formula, own: FloatArray) -> Formula:
    """Return a quotient with its inputs in the order of the table, if that only turns the order of the rows around."""
    places = {term: place for place, term in enumerate(computed.table.terms)}
    other = reciprocal(formula)
    if other is None or not all(isinstance(term, Column) for term in formula.inputs):
        return formula
    if places[cast("Column", formula.inputs[0])] < places[cast("Column", formula.inputs[1])]:
        return formula
    turned = ranks(computed.matrix((other,), block, rows))[:, 0]
    return other if abs(float(turned @ own)) > ALIKE else formula


def ranks(columns: FloatArray) -> FloatArray:
    """Return ranks of each column, centred and of unit length, so that products are correlations; missing is lowest."""
    return _units(rankdata(np.where(np.isnan(columns), -np.inf, columns), axis=0))


def lengths(columns: FloatArray) -> FloatArray:
    """Return each column, centred and of unit length, so that products are correlations; missing is the mean."""
    present = ~np.isnan(columns)
    means = np.where(present, columns, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    largest = np.max(np.abs(columns), axis=0, initial=1.0, where=present)  # a square of it must not overflow
    return _units(np.where(present, columns, means) / largest)


def _units(columns: FloatArray) -> FloatArray:
    centred = columns - columns.mean(axis=0)
    sizes = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(centred / np.where(sizes > 0, sizes, 1.0))
