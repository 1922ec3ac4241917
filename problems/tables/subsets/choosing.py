"""One candidate of a front: the best that fresh folds confirm, a sparse one, the knee, or the best of a size."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.tables.scores.evidence import Evidence
from emoprune.problems.tables.subsets.prepare import UNPRUNED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Choice", "check_choice", "chosen"]

Choice = Literal["best", "sparse", "knee"] | int

ALIKE = 0.1  # of a standard error, by which the best of a front may lose less than a cheaper one and not be chosen


def check_choice(choice: Choice) -> None:
    """Refuse what is no choice.

    Raises:
        ConfigError: It is none.
    """
    counted = isinstance(choice, int | np.integer) and not isinstance(choice, bool) and choice >= 1
    if not counted and not (isinstance(choice, str) and choice in ("best", "sparse", "knee")):
        raise ConfigError(f"choose: expected best, sparse, knee or a number of columns from 1 on, found {choice!r}")


def chosen(
    front: pd.DataFrame,
    evidence: Mapping[int, Evidence],
    signs: Mapping[str, float],
    choice: Choice,
    led: Set[str] = frozenset(),
) -> int:
    """Return the number of a candidate from a run's table of front and references.

    The best score of a search is the luckiest of many, so it decides nothing: candidates are held against all columns
    on fresh folds. `best` is the one with the least loss there, of those that are better by more than one standard
    error, or one that costs less and loses hardly more; all columns if there is none. `sparse` is the one with the
    lowest costs of those whose loss is no higher.

    Args:
        front: Its rows have `candidate_id`, `name`, `knee` and a column `obj.<name>` for each cost.
        evidence: By the number of a candidate.
        signs: The costs, each with 1 where less is better, -1 where more is.
        choice: Which one. A number is the most columns: of those the one that loses least, where it beats by a standard
            error what was chosen by no score.
        led: The names of references that were chosen by their scores, as the search's own candidates were.

    Raises:
        ConfigError: The choice is none, or nothing is as small as that.
    """
    check_choice(choice)
    known = front[front["candidate_id"].isin(list(evidence))].reset_index(drop=True)
    if choice == "knee" and (front["knee"] == 1).any():
        return int(front.loc[front["knee"] == 1, "candidate_id"].iloc[0])
    if choice not in ("best", "knee", "sparse"):
        return _best_of_size(known, evidence, int(choice), led)
    own = {number: evidence[number] for number in known["candidate_id"].astype(int)}
    if choice == "sparse" and own:
        return _cheapest(known, own, signs, max(0.0, min(each.difference for each in own.values())))
    better = {number: each for number, each in own.items() if each.better()}
    if not better:
        return int(front.loc[front["name"] == UNPRUNED, "candidate_id"].iloc[0])
    best = min(better.values(), key=lambda each: each.difference)
    return _cheapest(known, better, signs, best.difference + ALIKE * best.error)


def _cheapest(known: pd.DataFrame, found: Mapping[int, Evidence], signs: Mapping[str, float], most: float) -> int:
    """Return the cheapest of some candidates whose difference is at most that, of equals the one that loses least."""
    near = known[known["candidate_id"].map(lambda number: number in found and found[number].difference <= most)]
    numbers = near["candidate_id"].astype(int).tolist()
    differences = np.array([found[number].difference for number in numbers])
    costs = [sign * near[f"obj.{name}"].to_numpy(dtype=np.float64) for name, sign in signs.items()]
    return int(numbers[np.lexsort([differences, *costs[::-1]])[0]])


def _best_of_size(known: pd.DataFrame, evidence: Mapping[int, Evidence], most: int, led: Set[str]) -> int:
    """Return the candidate that loses least on fresh folds, of those with at most so many columns.

    What scores have led to is lucky on the rows that scored it, so it has to be better by more than a standard error
    than what no score has led to.
    """
    name = next((f"obj.{each}" for each in ("columns", "new-columns") if f"obj.{each}" in known), None)
    if name is None:
        raise ConfigError("choose: a number of columns needs `columns` or `new-columns` among the costs")
    few = known[known[name] <= most]
    small = few["candidate_id"].astype(int).tolist()
    if not small:
        raise ConfigError(f"choose: no candidate has at most {most} columns; search longer, or allow more")
    plain = few.loc[few["name"].fillna("").ne("") & ~few["name"].isin(led), "candidate_id"].astype(int).tolist()
    best = min(small, key=lambda number: (evidence[number].difference, number))
    safe = min(plain, key=lambda number: (evidence[number].difference, number), default=best)
    clearly = evidence[best].difference < evidence[safe].difference - evidence[best].error
    return best if clearly else safe
