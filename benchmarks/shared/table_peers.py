"""The peers on the same rows, with the same learner, on one thread: openfe, GAFeatureSelectionCV, mlxtend's SFS."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import chdir
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier

from emoprune.problems.tables.fitting import frame_of
from emoprune.problems.tables.learners.lightgbm import TreeOptions, parameters
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.table import Table
from emoprune.problems.tables.task import TableTask
from shared.meters import spent

__all__ = ["Subset", "genetic", "openfe", "sequential"]


@dataclass(frozen=True, slots=True)
class Subset:
    """Columns that a peer looked at, and the score it gave them."""

    columns: tuple[int, ...]
    score: float


def estimator(task: TableTask) -> LGBMClassifier:
    """Return LightGBM with the parameters of our learner."""
    options = TreeOptions()
    rows = len(task.parts.folds[0].train)
    given = parameters(options, task.table, rows, 1, 0)
    renamed = {
        "num_leaves": given["num_leaves"],
        "learning_rate": given["learning_rate"],
        "min_child_samples": given["min_data_in_leaf"],
        "max_bin": given["max_bin"],
        "min_data_in_bin": 1,
        "deterministic": True,
        "force_row_wise": True,
    }
    return LGBMClassifier(n_estimators=options.of_rows(rows)[0], n_jobs=1, verbose=-1, random_state=0, **renamed)


def openfe(task: TableTask, count: int, *, boosting: bool) -> tuple[float, Table, Block]:
    """Return what openfe's ten best features cost in CPU seconds, and a table of all columns and them to judge.

    It is given the rows to search and to select on; features of the test rows are made by its `transform`, which takes
    train and test together. Both write their data into the working folder, which is therefore a temporary one.
    """
    from openfe import OpenFE, transform

    table, parts = task.table, task.parts
    known = np.sort(np.concatenate([parts.search, parts.select.scored]))
    test = parts.test.scored
    frames = [_frame(table, rows) for rows in (known, test)]
    label = pd.DataFrame({"target": table.target[known].astype(int)})
    begun = spent()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of lines about renamed arguments of LightGBM
        maker = OpenFE()
        found = maker.fit(
            data=frames[0],
            label=label,
            n_jobs=1,
            seed=0,
            feature_boosting=boosting,
            verbose=False,
        )
        made = transform(frames[0], frames[1], found[:count], n_jobs=1)
    seconds = spent() - begun
    whole = pd.concat(made, ignore_index=True)
    order = np.concatenate([known, test])
    columns = {name: plain(whole[name]) for name in whole.columns}
    target = np.array([table.classes[int(place)] for place in table.target[order]], dtype=object)
    judged = table_of(columns, target, Wanted("classification"))
    rows = np.arange(len(order))
    return seconds, judged, Block("judged", rows[: len(known)], rows[len(known) :])


def _frame(table: Table, rows: np.ndarray) -> pd.DataFrame:
    """Return rows as a frame with plain column names, because openfe's parser stumbles over signs and brackets."""
    frame = frame_of(table, rows)
    return pd.DataFrame({f"x{number}": column for number, column in enumerate(frame.values())})


def genetic(task: TableTask, population: int, generations: int) -> tuple[float, list[Subset]]:
    """Return what GAFeatureSelectionCV costs in CPU seconds, and every subset it scored."""
    from sklearn_genetic import GAFeatureSelectionCV

    inputs, target, folds = _known(task)
    np.random.seed(0)  # noqa: NPY002  # it draws from the global generators
    import random

    random.seed(0)
    begun = spent()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GAFeatureSelectionCV(
            estimator(task),
            cv=folds,
            scoring="accuracy",
            population_size=population,
            generations=generations,
            n_jobs=1,
            verbose=False,
            refit=False,
        )
        search.fit(inputs, target)
    seconds = spent() - begun
    scored: dict[tuple[int, ...], float] = {}
    for record in search.logbook.chapters["parameters"]:
        chosen = tuple(np.flatnonzero(record["features"]).tolist())
        if chosen:
            scored.setdefault(chosen, float(record["score"]))
    return seconds, [Subset(*each) for each in scored.items()]


def sequential(task: TableTask, most: int) -> tuple[float, list[Subset]]:
    """Return what mlxtend's forward selection costs in CPU seconds, and the best subset of each size."""
    from mlxtend.feature_selection import SequentialFeatureSelector

    inputs, target, folds = _known(task)
    begun = spent()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = SequentialFeatureSelector(
            estimator(task), k_features=most, forward=True, scoring="accuracy", cv=folds, n_jobs=1
        )
        search.fit(inputs, target)
    seconds = spent() - begun
    return seconds, [Subset(tuple(each["feature_idx"]), float(each["avg_score"])) for each in search.subsets_.values()]


def _known(task: TableTask) -> tuple[Any, Any, list[tuple[Any, Any]]]:
    """Return the rows to search on as matrix and target, and our folds as places among them."""
    rows = task.parts.search
    inputs = np.column_stack([values.taken(rows).as_input() for values in task.table.values])
    place = np.full(len(task.table), -1)
    place[rows] = np.arange(len(rows))
    folds = [(place[block.train], place[block.scored]) for block in task.parts.folds]
    return inputs, task.table.target[rows].astype(int), folds
