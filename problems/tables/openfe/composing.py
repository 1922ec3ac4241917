"""Which formulas those of the next order are made of, beside the columns and the formulas of lower orders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed, is_category
from emoprune.problems.tables.formulas.catalogue import Catalogue
from emoprune.problems.tables.formulas.formula import Formula
from emoprune.problems.tables.openfe.boosting import Margins
from emoprune.problems.tables.openfe.halving import diverse, lengths
from emoprune.problems.tables.rows.splits import Block

__all__ = ["composed"]

FloatArray = NDArray[np.float64]

FEWEST = 10  # formulas that others are made of, however many others that makes
MOST = 40
MULTIPLE = 0.999  # of the correlation: of two that alike, one makes what the other would make
SAMPLED = 2000  # rows on which features are held against what is left to explain


def composed(
    computed: Computed,
    block: Block,
    margins: Margins,
    looked_at: Sequence[Formula],
    best: Sequence[Formula],
    *,
    lower: Catalogue,
    budget: int,
) -> Catalogue:
    """Return the formulas of the next order: those that have one of the best of this order among their inputs.

    In turns these are the ones that add most, and the ones most in line with what is left to explain. Trees mind only
    how a feature orders or parts the rows, and the means by city of any column part them alike; a difference to one of
    these means is another one for each. As many are taken as make no more formulas than the budget.

    Args:
        computed: The features.
        block: Its training rows are the rows of `margins`.
        margins: Where features start from.
        looked_at: All formulas of this order that were looked at.
        best: Those of them that add something, the best first.
        lower: What they were taken from.
        budget: How many formulas are looked at.
    """
    turns = zip_longest(best[:MOST], _in_line(computed, block, margins, looked_at)[:MOST])
    chosen = list(dict.fromkeys(formula for turn in turns for formula in turn if formula is not None))
    chosen = diverse(computed, block, chosen, MOST, by=lengths, alike=MULTIPLE)
    while True:
        found = Catalogue(lower.kinds.with_formulas(chosen), lower.operators, lower.kinds)
        if found.size <= budget or len(chosen) <= FEWEST:
            return found
        chosen.pop()


def _in_line(computed: Computed, block: Block, margins: Margins, formulas: Sequence[Formula]) -> list[Formula]:
    """Return the formulas that are numbers by the correlation with the derivatives of the loss, the largest first."""
    places = np.arange(len(block.train))[:: max(1, len(block.train) // SAMPLED)]
    left = lengths(margins.gradients[places]).T
    numbers = [formula for formula in formulas if not is_category(formula, computed.table)]
    found = [
        np.abs(left @ lengths(computed.matrix((formula,), block, block.train[places]))).max() for formula in numbers
    ]
    return [numbers[place] for place in np.argsort(-np.array(found), kind="stable")]
