"""Genomes of kept rows: a score, a window on it, the teacher's share, and how much of each class stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["FIRST_CLASS", "SHARES", "STEPS", "Kept", "SampleGenes"]

FloatArray = NDArray[np.float64]

STEPS = 20  # of a window, and of what stays of a class
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the teacher in the targets
FIRST_CLASS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Rows that stay, sorted, shape (kept,), and how much of their targets is the teacher's."""

    rows: IntArray
    teacher: float


@dataclass(frozen=True, slots=True, eq=False)
class SampleGenes:
    """Genomes over training rows.

    Of each class the rows inside the window of difficulty may stay, and of these so many as the class's gene says,
    drawn by lots that are the same for all genomes, so that less keeps some of the same rows.

    Args:
        scores: How hard each row is, by the name of a criterion, shape (n,) each.
        labels: The rows' classes, shape (n,).
        classes: Their names.
        lots: From 0 to 1 for each row, shape (n,).
        taught: Whether there is a teacher.
    """

    scores: Mapping[str, FloatArray]
    labels: IntArray
    classes: Sequence[str]
    lots: FloatArray
    taught: bool
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        genes = [
            Gene("score", len(self.scores), GeneKind.CATEGORY),
            Gene("easiest that may stay, in twentieths", STEPS, GeneKind.ORDERED),
            Gene("hardest that may stay, in twentieths", STEPS, GeneKind.ORDERED),
            Gene("share of the teacher", len(SHARES), GeneKind.ORDERED, locked=None if self.taught else 0),
        ]
        genes += [Gene(f"kept of {name}", STEPS + 1, GeneKind.ORDERED) for name in self.classes]
        several = (Group("classes", tuple(range(FIRST_CLASS, len(genes))), floor=2),)
        object.__setattr__(self, "space", Space(tuple(genes), several))

    @property
    def unpruned(self) -> IntArray:
        """The genome that keeps all rows, without the teacher."""
        return self.genome()

    def genome(
        self,
        share: float = 1.0,
        *,
        score: str | None = None,
        window: tuple[int, int] = (0, STEPS),
        teacher: float = 0.0,
    ) -> IntArray:
        """Return a genome that keeps the same share of each class, canonical."""
        found = self.space.full.copy()
        found[0] = 0 if score is None else list(self.scores).index(score)
        found[1], found[2] = window[0], window[1] - 1
        found[3] = SHARES.index(teacher)
        found[FIRST_CLASS:] = max(1, round(share * STEPS))
        return np.asarray(self.canonical(found[np.newaxis])[0])

    def window(self, genome: IntArray) -> tuple[int, int]:
        """Return the window as twentieths, from and to; its two genes may come in either order."""
        low, high = sorted(genome[1:3].tolist())
        return low, high + 1

    def decoded(self, genome: IntArray) -> Kept:
        """Return what a genome of shape (genes,) keeps."""
        scores = list(self.scores.values())[int(genome[0])]
        low, high = self.window(genome)
        kept = []
        for label, level in enumerate(genome[FIRST_CLASS:].tolist()):
            inside, many = self._inside(scores, label, low, high), self._many(label, level)
            kept.append(inside[np.argsort(self.lots[inside], kind="stable")[:many]])
        return Kept(np.sort(np.concatenate(kept)), SHARES[int(genome[3])])

    def _inside(self, scores: FloatArray, label: int, low: int, high: int) -> IntArray:
        """Return the rows of a class inside a window, at least one."""
        own = np.flatnonzero(self.labels == label)
        ordered = own[np.argsort(scores[own], kind="stable")]
        begin = min(len(own) * low // STEPS, len(own) - 1)
        return ordered[begin : max(begin + 1, -(-len(own) * high // STEPS))]

    def _many(self, label: int, level: int) -> int:
        members = int(np.count_nonzero(self.labels == label))
        return 0 if level == 0 else max(1, round(members * level / STEPS))

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes whose window is in order, whose score counts, and whose classes keep no more than there is."""
        return np.array([self._representative(genome) for genome in genomes]).reshape(genomes.shape)

    def _representative(self, genome: IntArray) -> IntArray:
        found = genome.copy()
        low, high = self.window(genome)
        found[0] = 0 if (low, high) == (0, STEPS) else genome[0]
        found[1], found[2] = low, high - 1
        scores = list(self.scores.values())[int(found[0])]
        for label, level in enumerate(genome[FIRST_CLASS:].tolist()):
            inside = len(self._inside(scores, label, low, high))
            counts = [min(inside, self._many(label, each)) for each in range(STEPS + 1)]
            found[FIRST_CLASS + label] = max(each for each in range(STEPS + 1) if counts[each] == counts[level])
        return found
