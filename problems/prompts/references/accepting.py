"""Deletion in turn of tokens, or of runs of them, each kept out if the prompt is hardly worse, or only if better."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.prompts.references.contract import ReferenceInputs, Worth
from emoprune.problems.prompts.references.ranked import SHARES, at_share
from emoprune.space import IntArray, Space

__all__ = ["RUNS", "Accepted", "AcceptingInRuns", "HillClimbing", "ThresholdAccepting", "accepting"]

THRESHOLD = 0.96
RUNS = 8  # in how many a prompt is cut at first

PROMPTQUINE = Paper("Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective", "2506.17930")
DELTA_DEBUGGING = Paper("Simplifying and Isolating Failure-Inducing Input", appeared="Zeller and Hildebrandt, 2002")
COST = "as many prompts as reference_prompts says, on the search part"

_log = logging.getLogger("emoprune")


@about("pruning", ["tokens"], serves=["prompt-tokens"], cost=COST, papers=[PROMPTQUINE, DELTA_DEBUGGING])
@dataclass(frozen=True, slots=True)
class AcceptingInRuns:
    """Delete whole runs of tokens, then halves of them down to single ones, each if what is left is good enough.

    Source: TAPruning of PromptQuine (arXiv 2506.17930), with runs that get shorter as in delta debugging.

    Args:
        threshold: Which share of the best so far is good enough.
        runs: In how many runs the prompt is cut at first.
    """

    threshold: float = THRESHOLD
    runs: int = RUNS
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check(self.threshold)
        if self.runs < 1:
            raise ConfigError(f"runs: expected 1 or more, found {self.runs}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return where it ended, and where it first kept no more than each share of the tokens."""
        return _found("accepting-in-runs", inputs, threshold=self.threshold, runs=self.runs)


@about("pruning", ["tokens"], serves=["prompt-tokens"], cost=COST, papers=[PROMPTQUINE])
@dataclass(frozen=True, slots=True)
class ThresholdAccepting:
    """Delete one token after the other, each if what is left is good enough.

    Source: TAPruning of PromptQuine (arXiv 2506.17930).

    Args:
        threshold: Which share of the best so far is good enough.
    """

    threshold: float = THRESHOLD
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        _check(self.threshold)

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return where it ended, and where it first kept no more than each share of the tokens."""
        return _found("threshold-accepting", inputs, threshold=self.threshold)


@about("pruning", ["tokens"], serves=["prompt-tokens"], cost=COST, papers=[PROMPTQUINE])
@dataclass(frozen=True, slots=True)
class HillClimbing:
    """Delete one token after the other, each if what is left is better.

    Source: SAHCPruner of PromptQuine (arXiv 2506.17930).
    """

    order: ClassVar[int] = 3

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return where it ended, and where it first kept no more than each share of the tokens."""
        return _found("hill-climbing", inputs, strict=True)


def _check(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold: expected a share above 0 and at most 1, found {threshold}")


def _found(
    name: str, inputs: ReferenceInputs, *, strict: bool = False, threshold: float = THRESHOLD, runs: int | None = None
) -> Found:
    _log.info("references: %s measures up to %d prompts", name, inputs.most)
    ended = accepting(inputs.worth, inputs.space, strict=strict, threshold=threshold, runs=runs, most=inputs.most)
    halts = ended.halts(inputs.space, SHARES)
    on_the_way = [Reference(at_share(name, share), genome) for share, genome in halts.items()]
    return Found((Reference(name, ended.genome), *on_the_way))


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """What deletion accepted in turn, the whole one first, and what the best was worth."""

    path: Sequence[IntArray]
    worth: float

    @property
    def genome(self) -> IntArray:
        """Where deletion ended."""
        return self.path[-1]

    def halts(self, space: Space, shares: Sequence[float]) -> dict[float, IntArray]:
        """Return the first of the path that keeps no more than each share of the free genes, where it did not end."""
        kept = np.array([genome[space.free].mean() for genome in self.path[:-1]])
        first = {share: int(np.argmax(kept <= share)) for share in shares if (kept <= share).any()}
        return {share: self.path[place] for share, place in first.items()}


def accepting(
    worth: Worth,
    space: Space,
    *,
    strict: bool = False,
    threshold: float = THRESHOLD,
    runs: int | None = None,
    most: int | None = None,
    rng: np.random.Generator | None = None,
) -> Accepted:
    """Go through the free genes that are on, turn each off, and leave it off if what is left is good enough.

    With `runs`, whole runs of neighbours are turned off at first, so that a long prompt takes few genomes; from pass to
    pass they get half as long, down to single genes.

    Good enough is `threshold` times the best so far, or better than the best so far if `strict`. Passes go on until one
    changes nothing. The published code splits what is left into tokens anew between passes; here tokens stay what they
    are in the whole prompt.

    Source: TAPruning and SAHCPruner of PromptQuine (arXiv 2506.17930); runs that get shorter as in delta debugging
    (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).

    Args:
        worth: What a genome is worth, above zero; None if that is known to be less than the number it is given.
        space: Which genomes are legal.
        strict: Whether only improvements are accepted.
        threshold: Which share of the best so far is good enough.
        runs: In how many runs the free genes are cut at first; None for single genes from the beginning.
        most: How many genomes may be measured; None for no bound.
        rng: Draws the order of each pass; None goes from left to right.
    """
    measured: dict[bytes, float | None] = {}

    def asked(genome: IntArray, needed: float) -> float | None:
        key = space.key(genome)
        if key not in measured:
            measured[key] = worth(genome, needed)
        return measured[key]

    path = [space.full.copy()]
    best = asked(path[-1], 0.0) or 0.0
    length = 1 if runs is None else max(1, int(space.free.sum()) // runs)
    ended = False
    while not ended:
        changed = False
        for run in _runs(np.flatnonzero(space.free & (path[-1] > 0)), length, rng):
            if most is not None and len(measured) >= most:
                return Accepted(path, best)
            tried = path[-1].copy()
            tried[run] = 0
            if not space.legal(tried)[0]:
                continue
            found = asked(tried, best if strict else threshold * best)
            if found is not None and (found > best if strict else found >= threshold * best):
                path.append(tried)
                best, changed = max(best, found), True
        ended = length == 1 and not changed
        length = max(1, length // 2)
    return Accepted(path, best)


def _runs(genes: IntArray, length: int, rng: np.random.Generator | None) -> list[IntArray]:
    """Return the genes in runs of a length, from left to right or in an order that is drawn."""
    runs = [genes[start : start + length] for start in range(0, len(genes), length)]
    return runs if rng is None else [runs[place] for place in rng.permutation(len(runs))]
