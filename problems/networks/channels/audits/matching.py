"""Random networks that cost as much as a given one: a fair field for proxies, where the cost decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.space import IntArray

__all__ = ["TOLERANCE", "matched_widths"]

TOLERANCE = 0.03
_HALVINGS = 30
_ROUNDS = 8
_AT_ONCE = 256


def matched_widths(
    model: CostModel,
    table: Sequence[IntArray],
    macs: float,
    count: int,
    rng: np.random.Generator,
    *,
    tolerance: float = TOLERANCE,
) -> IntArray:
    """Return random widths, each row once, whose multiply-accumulates are `macs` give or take `tolerance`.

    Each coupling group draws a share at random; one factor for all of them is then set so that the cost fits. Where
    fewer than `count` such networks are found, fewer come back.

    Args:
        model: Counts the cost.
        table: The rising widths that each coupling group may take, as in `WidthLevels.table`.
        macs: What they should cost.
        count: How many at most.
        rng: Draws them.
        tolerance: How far their cost may be off, as a share of `macs`.

    Returns:
        Shape (at most `count`, groups).
    """
    if count < 1 or not macs > 0 or not 0 < tolerance < 1:
        raise ConfigError(f"expected count >= 1, macs > 0 and a tolerance below 1, found {count}, {macs}, {tolerance}")
    found = np.zeros((0, len(table)), dtype=np.int64)
    for _ in range(_ROUNDS):
        shares = rng.uniform(0.05, 1.0, (_AT_ONCE, len(table)))
        widths = _scaled(model, table, shares, macs)
        fitting = widths[np.abs(model.macs(widths) / macs - 1) <= tolerance]
        joined = np.concatenate([found, fitting])
        first = np.unique(joined, axis=0, return_index=True)[1]
        found = joined[np.sort(first)]  # in the order they were drawn, so that no corner of the field comes first
        if len(found) >= count:
            break
    return found[:count]


def _scaled(model: CostModel, table: Sequence[IntArray], shares: FloatArray, macs: float) -> IntArray:
    """Return for each row of shares the widest networks, all shares times one factor, that do not cost more."""
    low, high = np.zeros(len(shares)), np.full(len(shares), 1 / shares.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = model.macs(_widths(table, shares * middle[:, None])) <= macs
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    near = np.stack([_widths(table, shares * factor[:, None]) for factor in (low, high)])
    off = np.abs(np.stack([model.macs(widths) for widths in near]) - macs)
    return np.asarray(np.where((off[0] <= off[1])[:, None], near[0], near[1]))


def _widths(table: Sequence[IntArray], shares: FloatArray) -> IntArray:
    columns = []
    for group, widths in enumerate(table):
        level = np.searchsorted(widths, np.minimum(shares[:, group], 1.0) * widths[-1])
        columns.append(widths[np.minimum(level, len(widths) - 1)])
    return np.stack(columns, axis=1)
