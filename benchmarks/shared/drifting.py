"""A stream in which other columns matter from the middle on."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["drifting"]


def drifting(rows: int = 1800) -> tuple[dict[str, Any], Any]:
    """Return twenty columns; five lie in clusters that tell the class, and from the middle on five others do."""
    rng = np.random.default_rng(0)
    inputs, target = rng.normal(size=(rows, 20)), np.empty(rows)
    for half, first in ((slice(0, rows // 2), 0), (slice(rows // 2, rows), 10)):
        cluster = rng.integers(0, 4, rows // 2)
        centres = rng.normal(0, 3, (4, 5))
        inputs[half, first : first + 5] = centres[cluster] + 0.8 * rng.normal(size=(rows // 2, 5))
        target[half] = cluster % 2
    return {f"c{number}": inputs[:, number] for number in range(20)}, target
