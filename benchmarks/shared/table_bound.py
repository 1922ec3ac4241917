"""The half of the columns that loses least on the rows to test on: a bound of any choice among columns as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Any

from lightgbm import LGBMClassifier, LGBMRegressor, early_stopping

from shared.table_frames import Case, Kind

__all__ = ["ALL_TRIED", "best_half"]

ALL_TRIED = 150  # subsets; of more, one column after another is left out
TREES: dict[str, Any] = {"learning_rate": 0.05, "num_leaves": 16, "n_estimators": 600, "n_jobs": 1, "verbosity": -1}
PATIENCE = 30

Names = tuple[str, ...]


def best_half(case: Case) -> list[str]:
    """Return the names of half of the columns, chosen by the loss on the rows to test on, with their target."""
    names = [str(name) for name in case.train.columns]
    half = len(names) // 2
    if comb(len(names), half) <= ALL_TRIED:
        return list(_least(case, combinations(names, half)))
    left: Names = tuple(names)
    while len(left) > half:
        left = _least(case, _one_fewer(left))
    return list(left)


def _one_fewer(names: Sequence[str]) -> Iterator[Names]:
    return (tuple(name for name in names if name != out) for out in names)


def _least(case: Case, subsets: Iterator[Names]) -> Names:
    return min(subsets, key=lambda names: (_loss(case, list(names)), names))


def _loss(case: Case, names: list[str]) -> float:
    """Return the least loss on the rows to test on of boosted trees, as many as suit these rows."""
    numbers = case.train.kind is Kind.NUMBERS
    trees = (LGBMRegressor if numbers else LGBMClassifier)(**TREES)
    tested: Any = [(case.test.columns[names], case.test.target)]  # LightGBM types it as a list of frames or of arrays
    trees.fit(
        case.train.columns[names],
        case.train.target,
        eval_set=tested,
        callbacks=[early_stopping(PATIENCE, verbose=False)],
    )
    return float(next(iter(trees.best_score_["valid_0"].values())))
