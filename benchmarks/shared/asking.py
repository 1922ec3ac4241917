"""A network whose genomes searches ask about: every question is counted, and every genome is measured only once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emoprune.contracts import Failure
from emoprune.front import hypervolume, non_dominated
from emoprune.problems.networks.channels.problem import Channels
from emoprune.records import Split
from emoprune.space import IntArray
from shared.landscapes import FloatArray

__all__ = ["Asked", "BudgetSpent", "Network"]


class BudgetSpent(Exception):  # it ends a search, and is no mistake
    """All evaluations of a search are used up."""


class Network:
    """A prepared problem with a memory, shared by all searches; it makes no difference to who asks."""

    def __init__(self, problem: Channels) -> None:
        self.problem = problem
        with tempfile.TemporaryDirectory() as folder:
            problem.prepare(Path(folder), 1)
        problem.setup("cpu", 1)
        self._rows: dict[tuple[Split, bytes], FloatArray] = {}
        self.worst = np.array([float(objective.worst or 0.0) for objective in problem.objectives])

    def rows(self, genomes: IntArray, split: Split) -> FloatArray:
        """Return the objectives of genomes of shape (n, genes), shape (n, objectives)."""
        space = self.problem.space
        keys = [(split, key) for key in space.keys(genomes)]
        new = {key: genome for key, genome in zip(keys, genomes, strict=True) if key not in self._rows}
        if new:
            ordered = sorted(new)
            measured = self.problem.evaluate(
                np.stack([new[key] for key in ordered]), np.zeros(len(new), dtype=np.uint64), split
            )
            for key, row in zip(ordered, measured, strict=True):
                if isinstance(row, Failure):
                    raise ValueError(row.reason)
                self._rows[key] = np.asarray(row, dtype=np.float64)[: len(self.worst)]
        return np.stack([self._rows[key] for key in keys])


class Asked:
    """One search's account: which genomes it asked about, in order, and when it may ask no more."""

    def __init__(self, network: Network, budget: int) -> None:
        self._network = network
        self._budget = budget
        self._genomes: list[IntArray] = []  # one row each
        self.spent = 0

    def scores(self, genomes: Iterable[IntArray]) -> FloatArray:
        """Return the search objectives of genomes, shape (n, objectives).

        Raises:
            BudgetSpent: There were not enough evaluations left for all of them.
        """
        wanted = np.asarray(list(genomes), dtype=np.int64)
        allowed = wanted[: self._budget - self.spent]
        self._genomes += [row[np.newaxis] for row in allowed]
        self.spent += len(allowed)
        if len(allowed) < len(wanted):
            if len(allowed):
                self._network.rows(allowed, Split.SEARCH)
            raise BudgetSpent
        return self._network.rows(wanted, Split.SEARCH)

    def volume(self, evaluations: int) -> float:
        """Return the share of the box that the front of the first `evaluations` dominates on the test split.

        The front is chosen by what the search saw; where its points really lie, nobody chose.
        """
        asked = np.concatenate(self._genomes[:evaluations])
        if not len(asked):
            return 0.0
        front = asked[non_dominated(self._network.rows(asked, Split.SEARCH))]
        held_out = self._network.rows(front, Split.TEST) / self._network.worst
        return hypervolume(held_out, np.ones(len(self._network.worst)))
