"""A number with the interval that the data leave it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError
from emoprune.problems.networks.statistics.correlations import Statistic
from emoprune.space import IntArray

__all__ = ["LEVEL", "RESAMPLES", "Estimate", "bootstrapped", "wilson"]

LEVEL = 0.95
RESAMPLES = 2000
_HALF_WIDTH = 1.959963984540054  # of a standard normal's central 95 %
_MOSTLY = 0.5  # so much of the resamples must define the statistic for an interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic of `count` candidates and its interval; NaN throughout where it is undefined."""

    value: float
    low: float
    high: float
    count: int

    @property
    def defined(self) -> bool:
        """Whether there is a value and an interval."""
        return not math.isnan(self.value + self.low + self.high)


def bootstrapped(
    statistic: Statistic,
    count: int,
    rng: np.random.Generator,
    bands: IntArray | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return a statistic with its 95 % percentile bootstrap interval over candidates.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        statistic: Over the candidates' counts, as in `correlations`.
        count: How many candidates there are.
        rng: Draws the resamples.
        bands: Shape (count,); candidates are drawn within their bands. None draws from all.
        resamples: How many.
    """
    groups = np.zeros(count, dtype=np.int64) if bands is None else bands
    if groups.shape != (count,) or count < 1 or resamples < 1:
        raise ContractError(f"expected a band for each of {count} candidates, found shape {groups.shape}")
    drawn = np.zeros((resamples, count))
    for band in np.unique(groups):
        own = np.flatnonzero(groups == band)
        drawn[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
    value = float(statistic(np.ones((1, count)))[0])
    values = statistic(drawn)
    values = values[~np.isnan(values)]
    if math.isnan(value) or len(values) < _MOSTLY * resamples:
        return Estimate(value, math.nan, math.nan, count)
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(low), float(high), count)


def wilson(successes: FloatArray | IntArray, trials: int) -> tuple[FloatArray, FloatArray]:
    """Return the 95 % score interval of each share `successes / trials`, both bounds in the shape of `successes`.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if trials < 1:
        raise ContractError(f"expected at least 1 trial, found {trials}")
    share, squared = np.asarray(successes, dtype=np.float64) / trials, _HALF_WIDTH**2 / trials
    middle = (share + squared / 2) / (1 + squared)
    half = _HALF_WIDTH * np.sqrt(share * (1 - share) / trials + squared / (4 * trials)) / (1 + squared)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
