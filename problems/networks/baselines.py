"""What a user would have picked without a search: the same share everywhere, or one threshold for all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Reference
from emoprune.problems.networks.criteria.ranking import widths_of_global_threshold
from emoprune.problems.networks.widths import WidthLevels
from emoprune.space import IntArray

__all__ = ["baselines"]

PERCENTAGES = (75, 50, 25)


def baselines(levels: WidthLevels, scores: Sequence[NDArray[np.float64]]) -> tuple[Reference, ...]:
    """Return the unpruned genome, then `uniform-P` (P % of each layer) and `global-magnitude-P` (P % of all channels).

    Widths between two levels are rounded up. A baseline that comes out equal to an earlier one is left out.
    """
    seen: set[bytes] = set()
    distinct = []
    for reference in _all(levels, scores):
        key = levels.space.key(reference.genome)
        if key not in seen:
            seen.add(key)
            distinct.append(reference)
    return tuple(distinct)


def _all(levels: WidthLevels, scores: Sequence[NDArray[np.float64]]) -> Iterator[Reference]:
    full: IntArray = np.array(levels.full, dtype=np.int64)
    yield Reference("unpruned", levels.encode(full))
    for percentage in PERCENTAGES:
        yield Reference(f"uniform-{percentage}", levels.encode(-(-full * percentage // 100)))
    for percentage in PERCENTAGES:
        widths = widths_of_global_threshold(scores, percentage / 100)
        yield Reference(f"global-magnitude-{percentage}", levels.encode(widths))
