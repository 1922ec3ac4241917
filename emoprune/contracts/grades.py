"""Scores that are means over blocks of examples: what a problem answers to be measured a few blocks at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.links import LINKS, Link, error_through, through
from emoprune.contracts.objectives import Constraint, FloatArray, Sense
from emoprune.contracts.problem import Problem, Rows, SeedArray, own_constraints_of
from emoprune.errors import ContractError
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["MEASURED", "Blocks", "Graded", "Linked", "blocks_of", "constraints_of", "standard_error"]

MEASURED = "blocks"  # the constraint that a candidate was measured on all of them
FEWEST = 2  # blocks, of which alone a standard error can be had


@runtime_checkable
class Graded(Protocol):
    """A problem whose scores are means over blocks of examples, which it can measure a few blocks at a time.

    Such a problem is measured block by block wherever it is measured: most candidates are given up after the first
    ones, and all numbers have standard errors. What is measured of a genome on a block depends on the genome, its seed
    and that block alone.
    """

    @property
    def grades(self) -> Sequence[int]:
        """After how many blocks of the search part it is asked who goes on, rising; the last is all of them.

        The first is two or more, because one block says nothing of how much a score varies.
        """
        ...

    @property
    def noisy(self) -> Sequence[str]:
        """The names of those objectives and constraints whose values differ from block to block; others are exact.

        None where the problem, as it is configured, has no such scores: it is then measured as others are.
        """
        ...

    def block_sizes(self, split: Split) -> Sequence[float]:
        """How much each block of a part counts in a mean, such as its number of examples; two blocks or more."""
        ...

    def evaluate_blocks(self, genomes: IntArray, seeds: SeedArray, split: Split, blocks: range) -> Rows:
        """Measure a batch on some blocks of one part of the data.

        Args:
            genomes: Shape (n, genes), all legal.
            seeds: Shape (n,), the same ones for whatever blocks are asked for.
            split: The part.
            blocks: Which of its blocks, one after another.

        Returns:
            One row per genome: shape (blocks, objectives + constraints), or a `Failure`. The mean over all blocks, each
            counted by its size, is what `evaluate` gives; where a score has a link, what follows from the mean is.
        """
        ...


@runtime_checkable
class Linked(Protocol):
    """A problem measured block by block some of whose scores are no means, but follow from one."""

    @property
    def links(self) -> Mapping[str, Link]:
        """How, by the names of such scores: `exp-mean` (a perplexity) or `root-mean`.

        What it measures on a block is then that mean, such as the loss in nats or the squared error.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Which values of a problem are means over blocks, how much each block of a part counts, and the grades.

    `links` says of those that are no means themselves how they follow from one.
    """

    noisy: tuple[str, ...]
    grades: tuple[int, ...]
    sizes: Mapping[Split, FloatArray]
    links: Mapping[str, Link] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = {name: link for name, link in self.links.items() if name not in self.noisy or link not in LINKS}
        if wrong:
            raise ContractError(
                f"links: expected {', '.join(LINKS)} for some of {', '.join(self.noisy)}, found {wrong}"
            )
        for split, sizes in self.sizes.items():
            if len(sizes) < FEWEST or not (sizes > 0).all() or not np.isfinite(sizes).all():
                raise ContractError(
                    f"block_sizes of {split}: expected {FEWEST} or more numbers above zero, found {sizes.tolist()}"
                )
        total = len(self.sizes[Split.SEARCH])
        rising = all(before < after for before, after in zip(self.grades, self.grades[1:], strict=False))
        if not self.grades or not rising or self.grades[0] < FEWEST or self.grades[-1] != total:
            raise ContractError(
                f"grades: expected rising numbers of blocks from {FEWEST} or more to {total}, found {self.grades}"
            )

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild from the plain form that a manifest holds."""
        sizes = {Split(name): np.array(each, dtype=np.float64) for name, each in plain["sizes"].items()}
        return cls(tuple(plain["noisy"]), tuple(plain["grades"]), sizes, dict(plain.get("links", {})))

    def as_json(self) -> dict[str, Any]:
        """Return the plain form."""
        sizes = {split.value: each.tolist() for split, each in self.sizes.items()}
        links = {"links": dict(self.links)} if self.links else {}
        return {"noisy": list(self.noisy), "grades": list(self.grades), "sizes": sizes, **links}

    @property
    def pieces(self) -> list[range]:
        """The blocks of the search part, grade after grade."""
        return [range(begin, end) for begin, end in zip((0, *self.grades), self.grades, strict=False)]

    def all_of(self, split: Split) -> range:
        """Return all blocks of a part."""
        return range(len(self.sizes[split]))

    def mean(self, split: Split, values: Sequence[float] | FloatArray) -> float:
        """Return the mean of what was measured on the first blocks of a part."""
        return float(np.average(values, weights=self.sizes[split][: len(values)]))

    def value(self, name: str, split: Split, values: Sequence[float] | FloatArray) -> float:
        """Return the score that follows from what was measured on the first blocks of a part."""
        return float(through(self.links.get(name, "mean"), np.array(self.mean(split, values))))

    def value_error(self, name: str, split: Split, values: FloatArray) -> float:
        """Return the standard error of that score; NaN for one block."""
        mean, error = np.array(self.mean(split, values)), np.array(self.error(split, values))
        return float(error_through(self.links.get(name, "mean"), mean, error))

    def error(self, split: Split, values: FloatArray) -> NDArray[np.float64]:
        """Return the standard error of the mean of each row, shape (..., blocks) -> (...); NaN for one block."""
        return standard_error(values, self.sizes[split][: values.shape[-1]])


def standard_error(values: FloatArray, sizes: FloatArray) -> NDArray[np.float64]:
    """Return the standard error of means over blocks that count by their sizes, shape (..., blocks) -> (...).

    NaN for one block.
    """
    count = len(sizes)
    if count < FEWEST:
        return np.full(values.shape[:-1], np.nan)
    weights = sizes / sizes.sum()
    apart = values - (values * weights).sum(axis=-1, keepdims=True)
    return np.asarray(np.sqrt((np.square(weights * apart)).sum(axis=-1) * count / (count - 1)))


def blocks_of(problem: Problem) -> Blocks | None:
    """Return how a problem's scores are made of blocks; None if it has none.

    Raises:
        ContractError: What it says of them cannot be.
    """
    if not isinstance(problem, Graded) or not problem.noisy:
        return None
    names = [each.name for each in problem.objectives] + [each.name for each in own_constraints_of(problem)]
    unknown = [name for name in problem.noisy if name not in names]
    if isinstance(problem.noisy, str) or unknown:
        raise ContractError(f"noisy: expected some of {', '.join(names)}, found {problem.noisy!r}")
    sizes = {split: np.array(problem.block_sizes(split), dtype=np.float64) for split in Split}
    links = dict(problem.links) if isinstance(problem, Linked) else {}
    return Blocks(tuple(problem.noisy), tuple(int(grade) for grade in problem.grades), sizes, links)


def constraints_of(problem: Problem, blocks: Blocks | None) -> tuple[Constraint, ...]:
    """Return the problem's constraints, none if it does not have the member.

    One whose scores are measured block by block has one more, that all blocks were measured: a candidate that was given
    up is never ranked among those that were measured in full.
    """
    own = own_constraints_of(problem)
    if blocks is None:
        return own
    return (*own, Constraint(MEASURED, float(blocks.grades[-1]), "", Sense.AT_LEAST))
