"""Which candidate of a front the evidence speaks for: the one-standard-error rule, on data that led no search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Blocks, Direction, Objective, as_minimised
from emoprune.records import Evaluation, Split, table

__all__ = ["best_row"]

FloatArray = NDArray[np.float64]


def best_row(
    select: Sequence[Evaluation | None],
    among: Sequence[int],
    unpruned: int | None,
    objectives: Sequence[Objective],
    blocks: Blocks | None,
) -> int | None:
    """Return the place of the cheapest candidate that is not shown to be worse than the best one, or than the unpruned.

    Worse is what loses more in the first objective that varies, on the blocks of `select` that both have seen, by more
    than one standard error of the paired differences (Breiman et al., Classification and Regression Trees, 1984, have
    the rule of one standard error). If everything else is shown to be worse than the unpruned, or costs no less, that
    is what is returned: a search never hands back something worse than what its user came with.

    Args:
        select: What was measured of each candidate there, None where nothing was.
        among: The places of the candidates to choose from.
        unpruned: The place of what the user came with; None if it is not there.
        objectives: All of them; those that do not vary are costs, the first of them the one that counts most.
        blocks: The problem's; nothing can be shown without.

    Returns:
        A place; None where nothing can be said.
    """
    noisy = [each for each in objectives if blocks is not None and each.name in blocks.noisy]
    known = {place: each for place in among if (each := select[place]) is not None and each.ok}
    if blocks is None or not noisy or not known:
        return None
    sign = 1.0 if noisy[0].direction is Direction.MINIMISE else -1.0
    losses = {place: sign * np.array(each.blocks[noisy[0].name]) for place, each in known.items()}
    best = min(losses, key=lambda place: (blocks.mean(Split.SELECT, losses[place]), place))
    held_against = [losses[best], *([losses[unpruned]] if unpruned in losses else [])]
    fits = [place for place in losses if not any(_worse(losses[place], other, blocks) for other in held_against)]
    exact = [each for each in objectives if each.name not in blocks.noisy]
    costs = as_minimised(table([known[place] for place in fits], [each.name for each in exact]), exact)
    means = [blocks.mean(Split.SELECT, losses[place]) for place in fits]
    if not fits:
        return unpruned
    return fits[int(np.lexsort([np.array(fits), np.array(means), *costs.T[::-1]])[0])]


def _worse(losses: FloatArray, others: FloatArray, blocks: Blocks) -> bool:
    """Whether one loses more than another by more than a standard error of the paired differences."""
    apart = losses - others
    return bool(blocks.mean(Split.SELECT, apart) > blocks.error(Split.SELECT, apart))
