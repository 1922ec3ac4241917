"""Ways to columns for a learner: all of them, with openfe's new features, and what emoprune finds.

A way is given the rows to learn on with their target, and the rows to test on without it; it returns columns for both.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import chdir
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from shared.table_bound import best_half
from shared.table_frames import Case, Frame, Kind

if TYPE_CHECKING:
    from emoprune.problems.tables.scikit_learn.evolved_features import EvolvedFeatures

__all__ = [
    "BASE",
    "BEST_HALF",
    "FOUR_TIMES",
    "HALF",
    "OPENFE",
    "OURS",
    "REORDERED",
    "TOP",
    "WAYS",
    "Columns",
    "imported",
]

Columns = tuple[pd.DataFrame, pd.DataFrame]  # for the rows to learn on, and for those to test on
Way = Callable[[Case, bool], Columns]

BASE, REORDERED, OPENFE, OURS = "base", "other order", "openfe", "emoprune"
FOUR_TIMES = "emoprune, four times"
HALF = "emoprune, half of the columns"
BEST_HALF = "best half, by the test rows"
TOP = 10  # of openfe's features
QUICK = {"population": 4, "generations": 1, "budget": 50, "survivors": 4, "others": 8}


def imported(way: str) -> None:
    """Import what a way uses, so that its seconds do not hold it."""
    if way not in (BASE, REORDERED, BEST_HALF):
        importlib.import_module("openfe" if way == OPENFE else "emoprune.loop.search")


def base(case: Case, _quick: bool) -> Columns:
    """Return all columns as they are."""
    return case.train.columns, case.test.columns


def reordered(case: Case, _quick: bool) -> Columns:
    """Return all columns in another order: what that changes is the learner's own chance."""
    order = np.random.default_rng(case.seed).permutation(case.train.columns.shape[1])
    return case.train.columns.iloc[:, order], case.test.columns.iloc[:, order]


def openfe(case: Case, _quick: bool) -> Columns:
    """Return all columns and openfe's ten best features, by its defaults.

    Its `transform` takes the rows to test on together with those to learn on. It writes into the working folder.
    """
    from openfe import OpenFE, transform

    _mended()
    frames = [_renamed(frame) for frame in (case.train, case.test)]
    label = pd.DataFrame({"target": _label(case.train)})
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of lines about renamed arguments of LightGBM
        task = "regression" if case.train.kind is Kind.NUMBERS else "classification"
        found = OpenFE().fit(data=frames[0], label=label, task=task, n_jobs=1, seed=case.seed, verbose=False)
        train, test = transform(frames[0], frames[1], found[:TOP], n_jobs=1)
    made = [name for name in train.columns if name not in frames[0].columns]
    return (
        pd.concat([case.train.columns, train[made]], axis=1),
        pd.concat([case.test.columns, test[made]], axis=1),
    )


def _mended() -> None:
    """Give openfe, in this process, the argument `squared` that scikit-learn took away; no regression ends without."""
    module = importlib.import_module("openfe.openfe")

    def mean_squared_error(expected: Any, predicted: Any, *, squared: bool = True) -> float:
        mean = float(np.mean((np.asarray(expected) - np.asarray(predicted)) ** 2))
        return mean if squared else float(np.sqrt(mean))

    module.mean_squared_error = mean_squared_error  # type: ignore[attr-defined]  # it is a name that openfe imported


def _renamed(frame: Frame) -> pd.DataFrame:
    """Return columns with plain names, because openfe's parser stumbles over signs, and with texts for categories."""
    texts = frame.columns.astype(dict.fromkeys(frame.columns.select_dtypes("category"), object))
    return texts.set_axis([f"x{place}" for place in range(texts.shape[1])], axis=1)


def _label(frame: Frame) -> Any:
    return frame.target if frame.kind is Kind.NUMBERS else np.unique(frame.target, return_inverse=True)[1]


def evolved(case: Case, quick: bool, **given: Any) -> Columns:
    """Return what a search with the defaults, but for what is given, makes of the columns."""
    from emoprune.problems.tables.scikit_learn.evolved_features import EvolvedFeatures

    options = {**given, **(QUICK if quick else {})}
    search = EvolvedFeatures(random_state=case.seed, **options).set_output(transform="pandas")
    search.fit(case.train.columns, case.train.target)
    return _typed(search, case.train.columns), _typed(search, case.test.columns)


def _typed(search: EvolvedFeatures, columns: pd.DataFrame) -> pd.DataFrame:
    """Return the features, with categories as such also where they come as codes: all ways give the same types."""
    made = pd.DataFrame(search.transform(columns))
    for name, term in zip(made.columns, search.formulas_, strict=True):
        if name in columns and columns[name].dtype == "category":
            made[name] = columns[name]
        elif getattr(term, "operator", "") == "combine":
            made[name] = made[name].astype("category")
    return made


def four_times(case: Case, quick: bool) -> Columns:
    """Return what a search of four times as many generations makes of the columns."""
    from emoprune.problems.tables.scikit_learn.evolved_features import EvolvedFeatures

    return evolved(case, quick, generations=4 * EvolvedFeatures().generations)


def half(case: Case, quick: bool) -> Columns:
    """Return at most half as many columns as there are."""
    return evolved(case, quick, mode="select", choose=case.train.columns.shape[1] // 2)


def bound(case: Case, _quick: bool) -> Columns:
    """Return the half of the columns that is best on the rows to test on, whose target no other way is given."""
    names = best_half(case)
    return case.train.columns[names], case.test.columns[names]


WAYS: Mapping[str, Way] = {
    BASE: base,
    REORDERED: reordered,
    OPENFE: openfe,
    OURS: evolved,
    FOUR_TIMES: four_times,
    HALF: half,
    BEST_HALF: bound,
}
