"""Races: a subset is measured fold by fold and stops where all columns cost no more and are clearly better.

All columns were chosen on no rows, so they may be held against others on any; what a reference method picked has seen
the rows it was picked on. They are measured once per run, so whether a subset stops depends on nothing else that is
measured, by whichever worker. One that stops keeps the losses of the folds that it has, and says how many these are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.scores.metrics import Metric

__all__ = ["Baseline", "Race", "plain_baseline", "read_baseline", "spread_of"]

FloatArray = NDArray[np.float64]

RESAMPLES = 30  # for the spread of one score


@dataclass(frozen=True, slots=True)
class Baseline:
    """What all columns cost, and lose on each fold, with the spread of each loss."""

    costs: Mapping[str, float]
    losses: tuple[float, ...]
    spreads: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The standard deviation of the mean loss, by resampling rows."""
        return float(np.sqrt(np.square(self.spreads).sum())) / len(self.spreads)


@dataclass(frozen=True, slots=True)
class Race:
    """What subsets are held against; `margin` is how many spreads behind one must lie to be stopped.

    `costs` are names, each with 1 where less is better, -1 where more is.
    """

    baseline: Baseline
    costs: Mapping[str, float]
    margin: float

    def lost(self, losses: Sequence[float], costs: Mapping[str, float]) -> bool:
        """Return whether a subset need not go on, from its losses on the first folds."""
        whole, count = self.baseline, len(losses)
        if any(sign * whole.costs[name] > sign * costs[name] for name, sign in self.costs.items()):
            return False
        difference = float(np.mean(np.subtract(losses, whole.losses[:count])))
        spread = float(np.sqrt(np.square(whole.spreads[:count]).sum())) / count
        return difference > max(self.margin * spread, 0.0)


def spread_of(metric: Metric, target: FloatArray, predictions: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the standard deviation of a score over resampled rows, at least that of half a row of them."""
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(target), len(target))
        own = None if weights is None else weights[rows]
        scores.append(metric(target[rows], predictions[rows], own) if len(np.unique(target[rows])) > 1 else np.nan)
    found = float(np.nanstd(scores)) if np.isfinite(scores).any() else 0.0
    return max(found, 0.5 / len(target)) if predictions.ndim == 2 else found


def plain_baseline(baseline: Baseline) -> dict[str, Any]:
    """Return a baseline as JSON keeps it."""
    return asdict(baseline)


def read_baseline(path: Path) -> Baseline:
    """Read what `plain_baseline` made.

    Raises:
        ConfigError: The file holds something else.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(plain, list):  # earlier versions kept every reference's, that of all columns first
            plain = plain[0]
        return Baseline(dict(plain["costs"]), tuple(plain["losses"]), tuple(plain["spreads"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}); remove it and it is made again") from error
