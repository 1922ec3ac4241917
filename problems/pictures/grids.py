"""Which of many are there, step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.pictures.svg import COLOURS, Panel, element

__all__ = ["grid"]

MOST = 400  # rows and steps that are drawn, so that a page stays small


def grid(title: str, there: NDArray[np.bool_], below: str, side: int = 8) -> Panel:
    """Return a filled square wherever something is there.

    Args:
        title: What is seen.
        there: Shape (things, steps); more than `MOST` of either are left out.
        below: What rows and columns are.
        side: Pixels of a square.
    """
    shown = there[:MOST, :MOST]
    rows, columns = shown.shape
    drawn = [element("rect", x=0, y=0, width=columns * side, height=rows * side, fill="none", stroke="#cbd2d9")]
    for row, column in np.argwhere(shown).tolist():
        place = {"x": column * side, "y": row * side, "width": side - 1, "height": side - 1}
        drawn.append(element("rect", **place, fill=COLOURS[0]))
    return Panel(title, max(columns * side, 260), rows * side, drawn, below)
