"""A stream in windows: what is learnt on one is scored on the next; and which columns each keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.stream import drifted, information, tightness, top
from emoprune.problems.tables.table import Table, Task
from emoprune.records import Split

__all__ = ["Policy", "Steps", "Windows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEWEST = 8  # windows: six to search on, and at least one each to choose and to report on


@dataclass(frozen=True, slots=True)
class Policy:
    """How columns are chosen: how many, from how many clusters, anew below which overlap, with what part of the target.

    Source: Research on Optimizing Real-Time Data Processing in High-Frequency Trading Algorithms using Machine
    Learning (clusters and weights); the drift trigger is emoprune's own.
    """

    keep: int
    clusters: int
    threshold: float
    information_weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Which windows are scored for each split; the window before each is what is learnt on."""

    windows: tuple[IntArray, ...]
    of_split: Mapping[Split, range]

    @classmethod
    def of(cls, table: Table, window: int, select: float, test: float) -> Steps:
        """Cut a table's rows, in their order, into windows, and the windows into three parts.

        Raises:
            ConfigError: There are too few rows for this.
        """
        count = len(table) // window
        if count < FEWEST:
            raise ConfigError(
                f"window: expected at least {FEWEST} windows, found {count} of {window} rows in {len(table)} rows; "
                "make windows smaller"
            )
        rows = np.arange(count * window)
        first = max(2, round(count * (1 - select - test)))
        second = min(max(first + 1, round(count * (1 - test))), count - 1)
        parts = {
            Split.SEARCH: range(1, first),
            Split.SELECT: range(first, second),
            Split.TEST: range(second, count),
        }
        return cls(tuple(np.split(rows, count)), parts)

    def block(self, number: int) -> Block:
        """Return the block that learns on the window before and is scored on window `number`."""
        return Block(f"window {number}", self.windows[number - 1], self.windows[number])


class Windows:
    """The columns that a policy keeps in each window; weights are computed once for each window and number of clusters.

    Args:
        table: With at least one column of numbers.
        steps: Its windows.
        columns: The values of the columns of numbers, shape (rows, columns).
    """

    def __init__(self, table: Table, steps: Steps, columns: FloatArray) -> None:
        self._table = table
        self._steps = steps
        self._columns = columns
        self._tight: dict[tuple[int, int], FloatArray] = {}
        self._informed: dict[int, FloatArray] = {}

    def kept(self, policy: Policy, until: int) -> list[IntArray]:
        """Return the columns' places that are kept after each window before `until`."""
        found: list[IntArray] = []
        for number in range(until):
            if found and policy.threshold <= 0:
                found.append(found[0])
                continue
            new = top(self._scores(policy, number), policy.keep)
            found.append(new if not found or drifted(found[-1], new, policy.threshold) else found[-1])
        return found

    def _scores(self, policy: Policy, number: int) -> FloatArray:
        scores = np.zeros(self._columns.shape[1])
        if policy.keep >= len(scores):
            return scores
        if policy.information_weight < 1:
            scores = scores + (1 - policy.information_weight) * self._tightness(number, policy.clusters)
        if policy.information_weight > 0:
            scores = scores + policy.information_weight * self._information(number)
        return scores

    def _tightness(self, number: int, clusters: int) -> FloatArray:
        key = (number, clusters)
        if key not in self._tight:
            self._tight[key] = tightness(self._columns[self._steps.windows[number]], clusters)
        return self._tight[key]

    def _information(self, number: int) -> FloatArray:
        if number not in self._informed:
            rows = self._steps.windows[number]
            classes = self._table.task is not Task.REGRESSION
            self._informed[number] = information(self._columns[rows], self._table.target[rows], classes=classes)
        return self._informed[number]
