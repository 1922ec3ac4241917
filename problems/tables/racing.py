"""Races: a subset is measured fold by fold and stops where a reference with no higher costs is clearly better.

What a subset is held against is measured once per run, so its row is the same whatever else is measured, by whichever
worker. A subset that stops has the score of the reference that beat it, worsened by how far it lay behind so far; it
cannot come to lie on the front, and is never measured again.
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
from emoprune.problems.tables.metrics import Metric
from emoprune.problems.tables.splits import Block

__all__ = ["Baseline", "Race", "plain_baselines", "read_baselines", "spread_of", "stations"]

FloatArray = NDArray[np.float64]

RESAMPLES = 30  # for the spread of one score
WORTH_A_BLOCK = 4000  # rows to learn on, from which a first block of a quarter of them pays
PART = 4


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a reference costs and loses: at the stations of a race, with the spread of each, and over all folds."""

    costs: Mapping[str, float]
    losses: tuple[float, ...]
    spreads: tuple[float, ...]
    whole: float


@dataclass(frozen=True, slots=True)
class Race:
    """Who is held against what; `margin` is how many spreads behind a subset must lie to be stopped.

    `costs` are names, each with 1 where less is better, -1 where more is.
    """

    baselines: tuple[Baseline, ...]
    costs: Mapping[str, float]
    margin: float

    def verdict(self, losses: Sequence[float], costs: Mapping[str, float]) -> float | None:
        """Return the loss of a subset that need not go on, from its losses so far; None for one that must."""
        count = len(losses)
        behind: list[tuple[float, float]] = []
        for each in self.baselines:
            if any(sign * each.costs[name] > sign * costs[name] for name, sign in self.costs.items()):
                continue
            difference = float(np.mean(np.subtract(losses, each.losses[:count])))
            spread = float(np.sqrt(np.square(each.spreads[:count]).sum())) / count
            if difference > self.margin * spread and difference > 0:
                behind.append((difference / spread if spread else np.inf, each.whole + difference))
        return max(behind)[1] if behind else None


def stations(folds: Sequence[Block]) -> tuple[tuple[Block, ...], int]:
    """Return the blocks of a race in order, and how many of the first ones are no part of the final score.

    Where there are many rows to learn on, the race begins with a quarter of those of the first fold.
    """
    first = folds[0]
    if len(first.train) < WORTH_A_BLOCK:
        return tuple(folds), 0
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(first.train)[: len(first.train) // PART])
    return (Block("first block", some, first.scored), *folds), 1


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


def plain_baselines(baselines: Sequence[Baseline]) -> list[dict[str, Any]]:
    """Return baselines as JSON keeps them."""
    return [asdict(each) for each in baselines]


def read_baselines(path: Path) -> tuple[Baseline, ...]:
    """Read what `plain_baselines` made.

    Raises:
        ConfigError: The file holds something else.
    """
    try:
        plain: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            Baseline(dict(each["costs"]), tuple(each["losses"]), tuple(each["spreads"]), float(each["whole"]))
            for each in plain
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}); remove it and it is made again") from error
