"""A prompt whose deletions are measured some rows at a time, and what searches are charged for it in seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Failure
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["ACCURACY", "CROSS_ENTROPY", "TOKENS", "InSeconds", "OutOfTime", "RowJudge"]

FloatArray = NDArray[np.float64]
MEASURED = ("accuracy", "cross-entropy", "tokens")  # objectives of the problem, in this order
ACCURACY, CROSS_ENTROPY, TOKENS = range(3)
WORST = (0.0, 99.0, 1e6)  # of what cannot be measured


class OutOfTime(Exception):  # it ends a search, and is no mistake
    """All seconds that a search may measure for are spent."""


class RowJudge:
    """Measures genomes on the search rows, a piece at a time, with a memory of values and of what they took.

    Args:
        problem: Set up, with `MEASURED` as objectives, and a block for each search row.
    """

    def __init__(self, problem: PromptTokens) -> None:
        self.problem = problem
        self._known: dict[tuple[bytes, int, int], tuple[FloatArray, float]] = {}
        self._whole: dict[bytes, tuple[FloatArray, float]] = {}

    def piece(self, genome: IntArray, rows: range) -> tuple[FloatArray, float]:
        """Return what is measured of a genome on some rows, shape (rows, measures), and its seconds of one core."""
        key = (self.problem.space.key(genome), rows.start, rows.stop)
        if key not in self._known:
            begun = time.process_time()
            (found,) = self.problem.evaluate_blocks(genome[None], np.zeros(1, dtype=np.uint64), Split.SEARCH, rows)
            measured = np.tile(WORST, (len(rows), 1)) if isinstance(found, Failure) else np.asarray(found)
            self._known[key] = measured, time.process_time() - begun
        return self._known[key]

    def whole(self, genome: IntArray) -> tuple[FloatArray, float]:
        """Return the means over all rows, which are read at once, and the seconds of that."""
        key = self.problem.space.key(genome)
        if key not in self._whole:
            task = self.problem._task  # noqa: SLF001  # a search reads block by block, its peers all at once
            begun = time.process_time()
            scored = task.scoring().scored(self.problem._template(genome), Split.SEARCH)  # noqa: SLF001
            seconds = time.process_time() - begun
            means = WORST if isinstance(scored, Failure) else tuple(scored.values[name] for name in MEASURED)
            self._whole[key] = np.array(means, dtype=np.float64), seconds
        return self._whole[key]


@dataclass(eq=False)
class InSeconds:
    """One search's account: what it asked about, on how many rows, and when its seconds are over.

    Attributes:
        judge: What measures; a value that another search asked for is charged what it took then.
        seconds: How many there are.
        factor: How many times as long a way of scoring takes as ours does.
    """

    judge: RowJudge
    seconds: float
    factor: float = 1.0
    spent: float = 0.0
    rows: dict[bytes, FloatArray] = field(default_factory=dict)
    genomes: dict[bytes, IntArray] = field(default_factory=dict)
    ended: IntArray | None = None  # the one genome that a search ends with, if it ends with one

    @property
    def problem(self) -> PromptTokens:
        """What is pruned."""
        return self.judge.problem

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many rows it may be asked who goes on."""
        return self.problem.grades

    def upto(self, genome: IntArray, count: int) -> FloatArray:
        """Return what is measured of a genome on the first `count` rows, a grade; what is known is not charged again.

        Raises:
            OutOfTime: The seconds are over.
        """
        key = self.problem.space.key(genome)
        known = self.rows.get(key, np.zeros((0, len(MEASURED))))
        for begin, end in zip((0, *self.grades), self.grades, strict=False):
            if len(known) <= begin < count:
                self._check()
                found, seconds = self.judge.piece(genome, range(begin, end))
                self.spent += seconds * self.factor
                known = np.concatenate([known, found])
                self._keep(key, genome, known)
        return known[:count]

    def at_once(self, genome: IntArray) -> FloatArray:
        """Return the means over all rows, read at once.

        Raises:
            OutOfTime: The seconds are over.
        """
        key = self.problem.space.key(genome)
        if key not in self.rows:
            self._check()
            means, seconds = self.judge.whole(genome)
            self.spent += seconds * self.factor
            self._keep(key, genome, np.tile(means, (self.grades[-1], 1)))
        return np.asarray(self.rows[key].mean(axis=0))

    def _check(self) -> None:
        if self.spent >= self.seconds:
            raise OutOfTime

    def _keep(self, key: bytes, genome: IntArray, rows: FloatArray) -> None:
        self.rows[key], self.genomes[key] = rows, genome

    def best(self, share: float, most: int) -> IntArray:
        """Return the best share by accuracy of those that were measured on most rows, of equal ones the shortest."""
        deepest = max(map(len, self.rows.values()))
        keys = [key for key, rows in self.rows.items() if len(rows) == deepest]
        means = np.array([self.rows[key].mean(axis=0) for key in keys])
        order = np.lexsort((means[:, TOKENS], -means[:, ACCURACY]))[: min(most, max(1, round(share * len(keys))))]
        return np.stack([self.genomes[keys[place]] for place in order])
