"""The examples of each part in blocks that are alike, and after how many of them it is asked which prompts go on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from emoprune.problems.prompts.data.examples import Example, Parts
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["LEAST", "ExampleBlocks"]

LEAST = 8  # examples, before it is asked for the first time who goes on
FEWEST = 4  # blocks then; with fewer, hardly any difference is beyond chance


@dataclass(frozen=True, slots=True, eq=False)
class ExampleBlocks:
    """Which rows of each part every block has, and the grades: after how many blocks of the search part it is asked.

    Rows are dealt so that the classes of the first ones have the shares that they have in all, as far as can be, and
    that each class is among them as early as can be; no grade lies before that.
    """

    rows: Mapping[Split, tuple[IntArray, ...]]
    grades: tuple[int, ...]

    @classmethod
    def of(cls, parts: Parts, count: int | None, *, classes: bool) -> Self | None:
        """Return the examples of all parts in blocks; None if there are to be none, or a part has but one example.

        Args:
            parts: The examples.
            count: How many blocks a part has at most.
            classes: Whether answers are of some classes.
        """
        if count is None or min(map(len, parts.values())) < 2:
            return None
        dealt = {split: _dealt(examples, classes=classes) for split, examples in parts.items()}
        rows = {split: tuple(np.array_split(own, min(count, len(own)))) for split, own in dealt.items()}
        own = [parts[Split.SEARCH][row].answer if classes else "" for row in dealt[Split.SEARCH].tolist()]
        return cls(rows, _grades([len(block) for block in rows[Split.SEARCH]], own))

    def sizes(self, split: Split) -> list[float]:
        """Return how many examples each block of a part has."""
        return [float(len(block)) for block in self.rows[split]]

    def pieces(self, split: Split, blocks: range) -> list[range]:
        """Return those pieces of a part, between one grade and the next, that hold some of the blocks.

        What is asked of a model at once may change its numbers in their last digits, so the same is always asked.
        """
        ends = self.grades if split is Split.SEARCH else (len(self.rows[split]),)
        pieces = [range(begin, end) for begin, end in pairwise((0, *ends))]
        return [piece for piece in pieces if piece.start < blocks.stop and blocks.start < piece.stop]


def _dealt(examples: Sequence[Example], *, classes: bool) -> IntArray:
    """Return rows in an order in which every class comes soon, and then as often as it comes in all.

    Within a class the order is that of digests, whatever order a file has them in.
    """
    of_class: dict[str, list[int]] = defaultdict(list)
    for row in sorted(range(len(examples)), key=lambda row: examples[row].digest):
        of_class[examples[row].answer if classes else ""].append(row)
    turns = [(place / len(own), answer, row) for answer, own in of_class.items() for place, row in enumerate(own)]
    return np.array([row for _, _, row in sorted(turns)], dtype=np.int64)


def _grades(sizes: Sequence[int], answers: Sequence[str]) -> tuple[int, ...]:
    """Return numbers of blocks, each twice the one before, from the first that are enough examples, of all classes."""
    ends, grades, count = np.cumsum(sizes).tolist(), list[int](), FEWEST
    while count < len(sizes):
        seen = answers[: ends[count - 1]]
        if len(seen) >= LEAST and set(seen) == set(answers):
            grades.append(count)
        count *= 2
    return (*grades, len(sizes))
