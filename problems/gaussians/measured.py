"""What measures see of Gaussians that stay, and the measures that come with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.gaussians.criteria.efficiency import METASAPIENS
from emoprune.space import IntArray

__all__ = ["Count", "Seen", "SquaredError", "TileWork"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Gaussians that stay, and some pixels that they give.

    Attributes:
        kept: Which they are, shape (kept,).
        colours: What they give, from 0 to 1, shape (pixels, 3).
        target: What the pixels are to be, shape (pixels, 3).
        tiles: Counts the tiles that all of them touch together in a view, the mean over the views of the part.
    """

    kept: IntArray
    colours: NDArray[np.float32]
    target: NDArray[np.float32]
    tiles: Callable[[], float]


@about("measurement", ["gaussians"], serves=["gaussians"], cost="each view of a part, drawn once")
class SquaredError:
    """Mean squared error of colours from 0 to 1; the PSNR is -10 log10 of it."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the mean over pixels and colours."""
        return float(np.mean(np.square(seen.colours.astype(np.float64) - seen.target)))


@about("measurement", ["gaussians"], serves=["gaussians"], cost="a count; nothing is drawn", papers=[METASAPIENS])
class TileWork:
    """Tiles that the Gaussians touch, summed over them: what a renderer sorts and blends."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count, the mean over the views of the part."""
        return seen.tiles()


@about("measurement", ["gaussians"], serves=["gaussians"], cost="a count; nothing is drawn")
class Count:
    """How many Gaussians there are."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(len(seen.kept))
