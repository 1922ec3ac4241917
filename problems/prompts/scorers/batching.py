"""Which texts are put through a model together: sorted by length, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np

from emoprune.space import IntArray

__all__ = ["batches"]

STARTING = 16  # what beginning a batch costs, in tokens: measured on a small model on one core
MOST_TOGETHER = 64


def batches(lengths: IntArray, most_tokens: int, starting: int = STARTING) -> list[IntArray]:
    """Return places in `lengths`, shape (n,), grouped so that padding and beginnings cost the least.

    Places with equal lengths stay in their order. The cost of a batch is its padded tokens and a constant for
    beginning it; the cheapest grouping of the sorted lengths is found exactly.

    Args:
        lengths: Tokens of each text.
        most_tokens: Of a batch, padding included; a single text may be longer.
        starting: What beginning a batch costs, in tokens.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order].tolist()
    cheapest, begins = [0.0], [0]
    for end in range(1, len(ordered) + 1):
        longest = ordered[end - 1]
        together = max(1, min(MOST_TOGETHER, end, most_tokens // max(longest, 1)))
        options = [
            (cheapest[end - count] + starting + count * longest, end - count) for count in range(1, together + 1)
        ]
        cost, begin = min(options)
        cheapest.append(cost)
        begins.append(begin)
    groups, end = [], len(ordered)
    while end > 0:
        groups.append(order[begins[end] : end])
        end = begins[end]
    return groups[::-1]
