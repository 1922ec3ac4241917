"""One candidate of a front: the best that held-out rows confirm, a sparse one, the knee, or the best of a size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.subsets.problem import SubsetProblem

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Choice", "chosen"]

Choice = Literal["best", "sparse", "knee"] | int

FloatArray = NDArray[np.float64]

ALL_COLUMNS = "unpruned"  # what a run calls the reference of all columns


def chosen(front: pd.DataFrame, problem: SubsetProblem, choice: Choice) -> int:
    """Return the number of a candidate from a run's table of front and references.

    The best score of a search is the luckiest of many, so it decides nothing alone. Candidates within one spread of it
    are taken for equal; `best` is the one of them that is best on the rows to select on, `sparse` the one with the
    lowest costs. Those rows, which led no search, must confirm it: where all columns are better there (for `sparse`: by
    more than one spread), it is all columns.

    Raises:
        ConfigError: The choice is none, or nothing is as small as that.
    """
    scored = front[front["select." + problem.task.measures.metric.name].notna()].reset_index(drop=True)
    if choice == "knee" and (front["knee"] == 1).any():
        return int(front.loc[front["knee"] == 1, "candidate_id"].iloc[0])
    if choice not in ("best", "sparse", "knee"):
        return int(scored["candidate_id"].iloc[_best_of_size(scored, problem, choice)])
    led, held = _losses(scored, problem)
    spread = problem.task.spread
    near = np.flatnonzero(led <= led.min() + spread)
    signs = problem.task.measures.signs.items()
    costs = [sign * scored[f"obj.{name}"].to_numpy(dtype=np.float64)[near] for name, sign in signs]
    keys = [*costs, held[near]] if choice == "sparse" else [held[near], *costs]
    place = int(near[np.lexsort(keys[::-1])[0]])
    whole = np.flatnonzero(scored["name"] == ALL_COLUMNS)
    allowed = spread if choice == "sparse" else 0.0
    if len(whole) and held[place] > held[whole[0]] + allowed:
        place = int(whole[0])
    return int(scored["candidate_id"].iloc[place])


def _losses(scored: pd.DataFrame, problem: SubsetProblem) -> tuple[FloatArray, FloatArray]:
    """Return the losses in the search and on the rows to select on, shape (candidates,) each."""
    metric = problem.task.measures.metric
    sign = -1.0 if metric.maximised else 1.0
    led, held = (sign * scored[f"{part}.{metric.name}"].to_numpy(dtype=np.float64) for part in ("obj", "select"))
    return led, held


def _best_of_size(scored: pd.DataFrame, problem: SubsetProblem, most: int | str) -> int:
    """Return the place of the best candidate on the rows to select on, of those with at most so many columns."""
    if isinstance(most, str) or most < 1:
        raise ConfigError(f"choose: expected best, sparse, knee or a number of columns from 1 on, found {most!r}")
    if "obj.columns" not in scored:
        raise ConfigError("choose: a number of columns needs `columns` among the costs")
    small = np.flatnonzero(scored["obj.columns"] <= most)
    if not len(small):
        raise ConfigError(f"choose: no candidate has at most {most} columns; search longer, or allow more")
    return int(small[np.argmin(_losses(scored, problem)[1][small])])
