"""Rows of three parts dealt out to blocks, so that a score that is a mean over rows can be measured bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["MOST", "RowBlocks", "averaged"]

FloatArray = NDArray[np.float64]

MOST = 8  # blocks of a part
FEWEST_ROWS = 8  # of a block, on average, where there are enough rows for two such blocks


@dataclass(frozen=True, slots=True, eq=False)
class RowBlocks:
    """The places of a part's rows in each of its blocks."""

    of_split: Mapping[Split, tuple[IntArray, ...]]

    @classmethod
    def dealt(cls, labels: Mapping[Split, NDArray[np.generic]], seed: int = 0) -> RowBlocks:
        """Deal each part's rows out in turns, shuffled and sorted by label, so that blocks are alike.

        Args:
            labels: Of each part what its rows are sorted by, such as classes, shape (rows,).
            seed: Of the shuffling.

        Raises:
            ConfigError: A part has fewer than two rows.
        """
        few = [split for split, own in labels.items() if len(own) < 2]
        if few:
            raise ConfigError(
                f"data: expected two rows or more to {few[0].value} on, found {len(labels[few[0]])}; give more rows"
            )
        found = {}
        for split, own in labels.items():
            shuffled = np.random.default_rng([seed, len(own)]).permutation(len(own))
            order = shuffled[np.argsort(own[shuffled], kind="stable")]
            count = min(MOST, max(2, len(own) // FEWEST_ROWS))
            found[split] = tuple(np.sort(order[place::count]) for place in range(count))
        return cls(found)

    @classmethod
    def in_order(cls, counts: Mapping[Split, int]) -> RowBlocks:
        """Cut each part's rows, which follow each other in time, into blocks of neighbours."""
        found = {}
        for split, count in counts.items():
            blocks = min(MOST, max(2, count // FEWEST_ROWS))
            found[split] = tuple(np.array_split(np.arange(count), blocks))
        return cls(found)

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many blocks of the search part it is asked who goes on: a quarter, a half, all."""
        count = len(self.of_split[Split.SEARCH])
        return tuple(sorted({max(2, count // 4), max(2, count // 2), count}))

    def sizes(self, split: Split) -> list[float]:
        """Return how many rows each block of a part has."""
        return [float(len(places)) for places in self.of_split[Split(split)]]

    def rows(self, split: Split, blocks: range) -> IntArray:
        """Return the places of the rows of some blocks, block after block."""
        return np.concatenate([self.of_split[Split(split)][block] for block in blocks])

    def means(self, values: FloatArray, split: Split, blocks: range) -> FloatArray:
        """Return the mean over each block, shape (blocks, measures), of values as `rows` has them, (rows, measures)."""
        ends = np.cumsum([len(self.of_split[Split(split)][block]) for block in blocks])[:-1]
        return np.stack([piece.mean(axis=0) for piece in np.split(values, ends)])

    def whole(self, split: Split) -> range:
        """Return all blocks of a part."""
        return range(len(self.of_split[Split(split)]))


def averaged(blocks: FloatArray, sizes: list[float]) -> FloatArray:
    """Return the mean over all blocks, each counted by its rows: shape (blocks, measures) to (measures,)."""
    return np.asarray(np.average(blocks, axis=0, weights=sizes))
