"""LightGBM tuned on the rows to learn on, and what it is worth on others: the same for whatever columns it is given."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from shared.table_frames import Kind

__all__ = ["BEST", "FEW", "FITS", "FOLDS", "PATIENCE", "REPEATS", "TRIALS", "Judged", "Tuned", "judged", "tuned"]

TRIALS = 12  # settings that are tried, the same ones for all
FOLDS = 3
FEW, REPEATS = 2000, 3  # below so many rows the folds are cut so often, because one cut says little
ROUNDS, PATIENCE = 2000, 25  # trees at most, and trees without a gain after which a trial ends
BEST, FITS = 3, 3  # settings whose predictions are averaged, and fits of each: one model alone is too much by chance
METRICS = {Kind.BINARY: "binary_logloss", Kind.CLASSES: "multi_logloss", Kind.NUMBERS: "rmse"}
OBJECTIVES = {Kind.BINARY: "binary", Kind.CLASSES: "multiclass", Kind.NUMBERS: "regression"}
FIXED = {"deterministic": True, "force_row_wise": True, "num_threads": 1, "feature_pre_filter": False, "verbose": -1}


@dataclass(frozen=True, slots=True)
class Tuned:
    """Settings, their best number of trees in cross-validation, and the loss they had there."""

    settings: dict[str, Any]
    trees: int
    loss: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Loss on held-out rows (log loss, or root of the mean squared error), and beside it for classes AUC or error."""

    loss: float
    beside: float | None


def tuned(columns: pd.DataFrame, target: NDArray[Any], kind: Kind, seed: int) -> list[Tuned]:
    """Return the best settings in cross-validation with early stopping, on these rows alone."""
    data = lightgbm.Dataset(columns, coded(target, kind), params=FIXED, free_raw_data=False)
    folds = list(_folds(target, kind, seed))
    found = []
    for settings in trials():
        given = _parameters(settings, target, kind, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the parameters that the data set already has
            stop = lightgbm.early_stopping(PATIENCE, verbose=False)
            course = lightgbm.cv(given, data, ROUNDS, folds=folds, callbacks=[stop])
        losses = np.asarray(course[f"valid {METRICS[kind]}-mean"])
        found.append(Tuned(settings, len(losses), float(losses[-1])))
    return sorted(found, key=lambda each: each.loss)[:BEST]


def trials() -> Iterator[dict[str, Any]]:
    """Draw the settings to try."""
    rng = np.random.default_rng(8)
    for _ in range(TRIALS):
        yield {
            "learning_rate": float(rng.choice([0.05, 0.1])),
            "num_leaves": int(rng.choice([4, 8, 16, 31])),
            "min_data_in_leaf": int(rng.choice([5, 10, 20, 40])),
            "feature_fraction": float(rng.choice([0.5, 0.75, 1.0])),
            "bagging_fraction": float(rng.choice([0.7, 1.0])),
            "bagging_freq": 1,
            "lambda_l2": float(rng.choice([0.0, 1.0, 10.0])),
        }


def judged(
    found: Sequence[Tuned],
    train: tuple[pd.DataFrame, NDArray[Any]],
    test: tuple[pd.DataFrame, NDArray[Any]],
    kind: Kind,
    seed: int,
) -> Judged:
    """Fit what was tuned on all rows to learn on, and measure the mean prediction on the rows to test on."""
    predicted = []
    for one, fit in product(found, range(FITS)):
        given = _parameters(one.settings, train[1], kind, seed + 1000 * fit)
        data = lightgbm.Dataset(train[0], coded(train[1], kind), params=FIXED)
        predicted.append(np.asarray(lightgbm.train(given, data, one.trees).predict(test[0])))
    return _measured(coded(test[1], kind), np.mean(predicted, axis=0), kind)


def coded(target: NDArray[Any], kind: Kind) -> NDArray[np.float64]:
    """Return numbers as they are, and classes as their places among the sorted names."""
    return target if kind is Kind.NUMBERS else np.unique(target, return_inverse=True)[1].astype(np.float64)


def _measured(expected: NDArray[Any], predicted: NDArray[Any], kind: Kind) -> Judged:
    if kind is Kind.NUMBERS:
        return Judged(float(np.sqrt(np.mean((expected - predicted) ** 2))), None)
    loss = float(log_loss(expected, predicted))
    if kind is Kind.BINARY:
        return Judged(loss, float(roc_auc_score(expected, predicted)))
    return Judged(loss, float(np.mean(predicted.argmax(axis=1) != expected)))


def _folds(target: NDArray[Any], kind: Kind, seed: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    repeats = REPEATS if len(target) < FEW else 1
    cut = RepeatedKFold if kind is Kind.NUMBERS else RepeatedStratifiedKFold
    yield from cut(n_splits=FOLDS, n_repeats=repeats, random_state=seed).split(np.zeros(len(target)), target)


def _parameters(settings: dict[str, Any], target: NDArray[Any], kind: Kind, seed: int) -> dict[str, Any]:
    given = {**FIXED, **settings, "objective": OBJECTIVES[kind], "metric": METRICS[kind], "seed": seed}
    return given | ({"num_class": len(np.unique(target))} if kind is Kind.CLASSES else {})
