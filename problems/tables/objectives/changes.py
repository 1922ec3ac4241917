"""How often the columns of a stream are chosen anew."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np

from emoprune.contracts import Direction, about
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Changes"]


@about("measurement", ["columns"], serves=["tabular-stream"], cost="a count")
class Changes:
    """How often the columns that are kept are others than in the window before."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the number of windows after which other columns are kept."""
        return float(sum(not np.array_equal(*pair) for pair in pairwise(seen.windows)))

    def worst(self, whole: Seen) -> float:
        """Return the number of windows."""
        return float(len(whole.windows))
