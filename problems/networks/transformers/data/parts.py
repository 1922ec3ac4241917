"""Examples of any kind in the parts of a task: a file for each, or one that is dealt out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.sentences import SHARES

__all__ = ["dealt_evenly", "evenly", "read_parts"]

Example = TypeVar("Example")
FEWEST = 2  # examples per part, or nothing can be told


def read_parts(
    data: str | Mapping[str, str],
    read: Callable[[str], Sequence[Example]],
    deal: Callable[[Sequence[Example], str], Mapping[str, Sequence[Example]]],
) -> dict[str, Sequence[Example]]:
    """Return the examples of `train`, `search`, `select` and `test`.

    Args:
        data: One file, or a mapping of each part to one.
        read: Returns the examples of a file.
        deal: Deals those of one file out to the parts.

    Raises:
        ConfigError: A part is missing, or there are too few examples.
    """
    if isinstance(data, str):
        return dict(deal(read(data), data))
    if set(data) != set(SHARES):
        raise ConfigError(f"data: expected one file, or a file for each of {', '.join(sorted(SHARES))}")
    return {part: read(name) for part, name in data.items()}


def dealt_evenly(rows: Sequence[Example], name: str) -> dict[str, Sequence[Example]]:
    """Return the examples of one file by part, always the same ones.

    Raises:
        ConfigError: There are too few.
    """
    ends = np.round(np.cumsum([0.0, *SHARES.values()]) * len(rows)).astype(np.int64)
    if np.diff(ends).min() < FEWEST:
        raise ConfigError(
            f"data: {name!r} has {len(rows)} examples, expected at least {5 * FEWEST}, which are cut into four parts; "
            "give more, or a file for each part"
        )
    order = np.random.default_rng(0).permutation(len(rows))
    dealt = zip(SHARES, ends[:-1], ends[1:], strict=True)
    return {part: [rows[row] for row in np.sort(order[low:high]).tolist()] for part, low, high in dealt}


def evenly(rows: Sequence[Example], count: int) -> list[Example]:
    """Return at most `count` examples, evenly spread over all."""
    wanted = min(count, len(rows))
    return [rows[row] for row in np.unique(np.linspace(0, len(rows) - 1, wanted).astype(np.int64)).tolist()]
