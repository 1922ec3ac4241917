"""What measures see of a pruned reservoir, and the measures that come with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import Direction, about
from emoprune.problems.reservoir.genes import Kept
from emoprune.problems.reservoir.standalone.reservoir import FloatArray

__all__ = ["Edges", "Neurons", "NormalisedError", "Seen", "StabilityGap"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A pruned reservoir and what it forecasts for some steps.

    Attributes:
        kept: The reservoir.
        forecasts: In deviations of the steps that were learnt from, shape (steps,).
        target: What came, shape (steps,).
        largest: Computes the largest Lyapunov exponent under white noise.
    """

    kept: Kept
    forecasts: FloatArray
    target: FloatArray
    largest: Callable[[], float]


@about("measurement", ["neurons"], serves=["reservoir"], cost="one pass over the series")
class NormalisedError:
    """Mean squared error of forecasts in variances of the steps that were learnt from; its root is the NRMSE."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    worst: ClassVar[float] = 1.0

    def __call__(self, seen: Seen) -> float:
        """Return the mean over the steps."""
        return float(np.mean(np.square(seen.forecasts - seen.target)))


@about("measurement", ["weights"], serves=["reservoir"], cost="a count; nothing is run")
class Edges:
    """How many weights between neurons are not zero."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(seen.kept.edges)


@about("measurement", ["neurons"], serves=["reservoir"], cost="a count; nothing is run")
class Neurons:
    """How many neurons there are."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(len(seen.kept.neurons))


@about("measurement", ["neurons"], serves=["reservoir"], cost="a QR decomposition per step of noise")
class StabilityGap:
    """How far the largest Lyapunov exponent is from zero, the edge between forgetting and chaos."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return its magnitude."""
        return abs(seen.largest())
