"""Small random changes of genomes: flipped bits, levels moved up or down, other categories.

Each gene mutates with its own small probability, the rate. At the usual rate of one gene per genome more than a third
of all genomes get no mutation. After a crossover these are pure recombinations, and worth having; a copy of a parent is
not. `at_least_one` gives a genome without a mutation one in a random gene: for copies, and for searches without
crossover. The search never evaluates a genome twice, with or without it.

Source: Carvalho Pinto, Doerr, Towards a more practice-aware runtime analysis of evolutionary algorithms (the variant
they write 0 -> 1), arXiv:1812.00493.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.operators.options import check_reach, check_share
from emoprune.space import GeneKind, IntArray, Space

__all__ = ["ByKindMutation", "FlipMutation", "ResampleMutation", "StepMutation"]

AT_LEAST_ONE = Paper("Towards a more practice-aware runtime analysis of evolutionary algorithms", "1812.00493")
DENSE = 0.1  # from this rate on, a random number per gene costs less than one per mutation


@about("search", ["genomes"], cost="a random number per mutation", papers=[AT_LEAST_ONE])
@dataclass(frozen=True, slots=True)
class FlipMutation:
    """Flip bits, each with probability `rate`; None means one bit per genome on average."""

    rate: float | None = None
    at_least_one: bool = False

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; locked genes and other kinds stay."""
        bits = _free(space, GeneKind.BIT)
        return _Moves(bits, np.ones_like(bits), self.rate, self.at_least_one).applied(space, genomes, rng)


@about("search", ["genomes"], cost="a random number per mutation", papers=[AT_LEAST_ONE])
@dataclass(frozen=True, slots=True)
class StepMutation:
    """Move ordered levels up or down by 1 to `reach`, each with probability `rate`; None: one per genome on average.

    All other levels within reach are equally likely, at the ends too, so that a mutation always changes something. A
    `reach` of None is a quarter of the gene's levels.
    """

    rate: float | None = None
    reach: int | None = 1
    at_least_one: bool = False

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)
        check_reach(self, self.reach)

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; locked genes and other kinds stay."""
        ordered = _free(space, GeneKind.ORDERED)
        reach = _reach(space.levels[ordered], self.reach)
        return _Moves(ordered, reach, self.rate, self.at_least_one).applied(space, genomes, rng)


@about("search", ["genomes"], cost="a random number per mutation", papers=[AT_LEAST_ONE])
@dataclass(frozen=True, slots=True)
class ResampleMutation:
    """Replace categories by any other one, each with probability `rate`; None means one per genome on average."""

    rate: float | None = None
    at_least_one: bool = False

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; locked genes and other kinds stay."""
        categories = _free(space, GeneKind.CATEGORY)
        moves = _Moves(categories, space.levels[categories], self.rate, self.at_least_one)
        return moves.applied(space, genomes, rng)


@about("search", ["genomes"], cost="a random number per mutation", papers=[AT_LEAST_ONE])
@dataclass(frozen=True, slots=True)
class ByKindMutation:
    """Flip bits, step ordered levels and resample categories, each gene with probability `rate`.

    A `rate` of None means one gene per genome on average. An ordered level moves by 1 to `reach`; None is a quarter of
    its levels, so that a gene of many levels crosses its range in a few generations.
    """

    rate: float | None = None
    reach: int | None = None
    at_least_one: bool = False

    def __post_init__(self) -> None:
        check_share(self, "rate", self.rate)
        check_reach(self, self.reach)

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; locked genes stay."""
        reach = np.where(space.of_kind(GeneKind.CATEGORY), space.levels, _reach(space.levels, self.reach))
        genes = np.flatnonzero(space.free)
        return _Moves(genes, reach[genes], self.rate, self.at_least_one).applied(space, genomes, rng)


def _free(space: Space, kind: GeneKind) -> IntArray:
    """Return the indices of the genes of `kind` that may vary."""
    return np.flatnonzero(space.free & space.of_kind(kind))


def _reach(levels: IntArray, reach: int | None) -> IntArray:
    """Return how far each gene moves at most: `reach`, or a quarter of its levels."""
    return np.maximum(1, levels // 4) if reach is None else np.full_like(levels, reach)


@dataclass(frozen=True, slots=True, eq=False)
class _Moves:
    """Which genes may move, shape (k,), how many levels each at most, shape (k,), and how probably."""

    genes: IntArray
    reach: IntArray
    rate: float | None
    at_least_one: bool

    def applied(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Return new genomes in which each gene that is hit has another level within its reach."""
        mutated = genomes.copy()
        if genomes.size == 0 or len(self.genes) == 0:
            return mutated
        rows, columns = self._places(len(genomes), rng)
        hit, reach = self.genes[columns], self.reach[columns]
        current = genomes[rows, hit]
        lowest = np.maximum(current - reach, 0)
        highest = np.minimum(current + reach, space.levels[hit] - 1)
        # The upper end is left out: one level fewer to draw from, as the current one is skipped.
        drawn = rng.integers(lowest, highest)
        mutated[rows, hit] = drawn + (drawn >= current)
        return mutated

    def _places(self, count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return which genomes are hit, and in which of the genes: two arrays of one length."""
        width = len(self.genes)
        hits = _hits(count * width, 1 / width if self.rate is None else self.rate, rng)
        rows, columns = np.divmod(hits, width)
        if not self.at_least_one:
            return rows, columns
        untouched = np.flatnonzero(np.bincount(rows, minlength=count) == 0)
        extra = rng.integers(0, width, len(untouched))
        return np.concatenate([rows, untouched]), np.concatenate([columns, extra])


def _hits(trials: int, rate: float, rng: np.random.Generator) -> IntArray:
    """Return, in ascending order, which of `trials` independent trials succeed with probability `rate`."""
    if rate >= DENSE:
        return np.flatnonzero(rng.random(trials, dtype=np.float32) < rate)
    if rate == 0:
        return np.zeros(0, dtype=np.int64)
    expected = trials * rate
    batch = int(expected + 4 * expected**0.5) + 8
    hits = np.zeros(0, dtype=np.int64)
    last = -1
    while last < trials:
        # The distance to the next success is geometric; cut off, so that tiny rates cannot overflow the sum.
        gaps = np.minimum(rng.geometric(rate, batch), trials + 1)
        hits = np.concatenate([hits, last + np.cumsum(gaps)])
        last = int(hits[-1])
    return hits[hits < trials]
