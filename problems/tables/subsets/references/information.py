"""How much each column alone tells of the target.

Source: Kraskov, Stoegbauer, Grassberger, Estimating mutual information, arXiv:cond-mat/0305641 (as in scikit-learn).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Task

__all__ = ["information"]

FloatArray = NDArray[np.float64]

MOST_ROWS = 3000  # the estimate looks for neighbours of each row
TARGET_BINS = 10  # of a number, where it is held against categories


def information(computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> FloatArray:
    """Return the mutual information of columns with the target on the block's training rows in nats, shape (columns,).

    Numbers are estimated by their neighbours; categories are counted, because neighbours within each of many categories
    take minutes.
    """
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
    from sklearn.metrics import mutual_info_score

    rows = np.sort(np.random.default_rng(seed).permutation(block.train)[:MOST_ROWS])
    target, regression = computed.table.target[rows], computed.table.task is Task.REGRESSION
    matrix = computed.matrix(terms, block, rows)
    counted = np.array([computed.levels(term, block) > 0 for term in terms])
    found = np.zeros(len(terms))
    numbers = np.flatnonzero(~counted)
    if len(numbers):
        estimate = mutual_info_regression if regression else mutual_info_classif
        found[numbers] = estimate(_filled(matrix[:, numbers]), target, random_state=seed % 2**31)
    classes = np.argsort(np.argsort(target, kind="stable"), kind="stable") * TARGET_BINS // len(rows)
    for place in np.flatnonzero(counted):
        codes = np.where(np.isnan(matrix[:, place]), -1, matrix[:, place])
        found[place] = mutual_info_score(classes if regression else target, codes)
    return found


def _filled(numbers: FloatArray) -> FloatArray:
    """Fill gaps with the median of their column."""
    present = ~np.isnan(numbers)
    medians = np.nanmedian(np.where(present.any(axis=0), numbers, 0.0), axis=0)
    return np.where(present, numbers, medians)
