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
    """Return the place of the cheapest candidate that is not shown to be worse than the best one, or the unpruned's.

    Worse, and better, is what differs in the first objective that varies, on the blocks of `select` that both have
    seen, by more than one standard error of the paired differences (after the rule of one standard error of Breiman et
    al., Classification and Regression Trees, 1984). Only such candidates count as are shown to be better than the
    unpruned, or are not shown to be worse and cost less in something and more in nothing; if there are none, the
    unpruned is returned.

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
    exact = [each for each in objectives if each.name not in blocks.noisy]
    costs = {place: as_minimised(table([each], [one.name for one in exact]), exact)[0] for place, each in known.items()}

    def counts(place: int) -> bool:
        """Whether it is worth to leave the unpruned for it."""
        if unpruned not in losses or place == unpruned:
            return True
        if _worse(losses[unpruned], losses[place], blocks):
            return True
        smaller = (costs[place] <= costs[unpruned]).all() and (costs[place] < costs[unpruned]).any()
        return bool(smaller) and not _worse(losses[place], losses[unpruned], blocks)

    fits = [place for place in losses if counts(place) and not _worse(losses[place], losses[best], blocks)]
    if not fits:
        return unpruned
    means = [blocks.mean(Split.SELECT, losses[place]) for place in fits]
    first = np.array([place != unpruned for place in fits])  # of equal costs the unpruned stays
    order = np.lexsort([np.array(fits), np.array(means), first, *np.array([costs[place] for place in fits]).T[::-1]])
    return fits[int(order[0])]


def _worse(losses: FloatArray, others: FloatArray, blocks: Blocks) -> bool:
    """Whether one loses more than another by more than a standard error of the paired differences."""
    apart = losses - others
    return bool(blocks.mean(Split.SELECT, apart) > blocks.error(Split.SELECT, apart))
