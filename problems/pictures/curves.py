"""Lines and bars over numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emoprune.problems.pictures.svg import COLOURS, Panel, element, words

__all__ = ["bars", "lines"]

FloatArray = NDArray[np.float64]
LEGEND = 14  # pixels of a line


def lines(title: str, series: Mapping[str, tuple[ArrayLike, ArrayLike]], width: int = 460, height: int = 200) -> Panel:
    """Return curves in one frame, named in a legend.

    Args:
        title: What is seen.
        series: By name, across and up, each of shape (points,), finite, two points or more.
        width: In pixels.
        height: In pixels.
    """
    curves = {name: (_array(across), _array(up)) for name, (across, up) in series.items()}
    left, right = _range([across for across, _ in curves.values()])
    low, high = _range([up for _, up in curves.values()])
    drawn = [_frame(width, height)]
    for place, (name, (across, up)) in enumerate(curves.items()):
        colour = COLOURS[place % len(COLOURS)]
        points = np.column_stack([(across - left) / (right - left) * width, (high - up) / (high - low) * height])
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(element("polyline", points=listed, fill="none", stroke=colour, stroke_width=1.4))
        drawn.append(element("rect", x=6, y=6 + LEGEND * place, width=10, height=3, fill=colour))
        drawn.append(words(20, 12 + LEGEND * place, name))
    return Panel(title, width, height, drawn, f"across {left:.4g} to {right:.4g}, up {low:.4g} to {high:.4g}")


def bars(
    title: str, heights: Mapping[str, ArrayLike], labels: Sequence[str], width: int = 460, height: int = 200
) -> Panel:
    """Return bars that stand in one another, the first kind at the back, with a label each.

    Args:
        title: What is seen.
        heights: By kind, shape (bars,), none below zero.
        labels: One per bar; the first and the last are written.
        width: In pixels.
        height: In pixels.
    """
    kinds = {name: _array(values) for name, values in heights.items()}
    most = max(float(values.max(initial=0)) for values in kinds.values()) or 1.0
    step, drawn = width / len(labels), [_frame(width, height)]
    for place, (name, values) in enumerate(kinds.items()):
        colour = COLOURS[place % len(COLOURS)]
        for bar, value in enumerate(values.tolist()):
            tall = value / most * height
            drawn.append(element("rect", x=bar * step + 0.5, y=height - tall, width=step - 1, height=tall, fill=colour))
        drawn.append(element("rect", x=width - 110, y=6 + LEGEND * place, width=10, height=8, fill=colour))
        drawn.append(words(width - 96, 14 + LEGEND * place, name))
    return Panel(title, width, height, drawn, f"from {labels[0]} to {labels[-1]}; the highest bar is {most:.4g}")


def _array(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _range(arrays: Sequence[FloatArray]) -> tuple[float, float]:
    low, high = (float(pick([pick(each) for each in arrays])) for pick in (np.min, np.max))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _frame(width: int, height: int) -> str:
    return element("rect", x=0, y=0, width=width, height=height, fill="none", stroke="#cbd2d9")
