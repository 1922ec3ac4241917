"""What a search has seen, and the front of it, kept up to date generation by generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emoprune import front
from emoprune.contracts import MEASURED, Blocks, Constraint, Objective, as_minimised, violations
from emoprune.contracts.algorithm import Noise
from emoprune.contracts.links import through
from emoprune.records import Evaluation, Front, Split, chained, table

__all__ = ["Archive", "Scored"]

FloatArray = NDArray[np.float64]


class Scored:
    """The measured part of some evaluations as arrays of n rows, objectives to minimise, violation 0 where feasible.

    `noise` is None where the problem is measured in full.
    """

    def __init__(
        self,
        evaluations: Sequence[Evaluation],
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        blocks: Blocks | None = None,
    ) -> None:
        self.evaluations = [evaluation for evaluation in evaluations if evaluation.ok]
        natural = table(self.evaluations, [objective.name for objective in objectives])
        self.objectives = as_minimised(natural, objectives)
        bounded = table(self.evaluations, [constraint.name for constraint in constraints])
        missed = violations(bounded, constraints)
        self.violation = missed.sum(axis=1)
        self.ids = np.array([evaluation.candidate.id for evaluation in self.evaluations], dtype=np.int64)
        self.noise: Noise | None = None
        if blocks is not None:
            own = [constraint.name != MEASURED for constraint in constraints]
            losses = as_minimised(_by_block(self.evaluations, objectives, blocks), objectives)
            broken, scores = missed[:, own].sum(axis=1), partial(_scores, objectives, blocks)
            self.noise = Noise(np.moveaxis(losses, 2, 1), blocks.sizes[Split.SEARCH], broken, scores)


def _by_block(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], blocks: Blocks
) -> NDArray[np.float64]:
    """Return what was measured on each block, shape (n, blocks, objectives), NaN on those that are missing."""
    losses = np.full((len(evaluations), len(blocks.sizes[Split.SEARCH]), len(objectives)), np.nan)
    for row, each in enumerate(evaluations):
        for column, objective in enumerate(objectives):
            measured = each.blocks.get(objective.name, each.values[objective.name])
            losses[row, : each.measured, column] = measured
    return losses


def _scores(objectives: Sequence[Objective], blocks: Blocks, means: FloatArray) -> FloatArray:
    """Return the objectives that follow from means, shape (n, objectives), both to minimise."""
    natural = as_minimised(means, objectives)
    links = [blocks.links.get(each.name, "mean") for each in objectives]
    scores = [through(link, column) for link, column in zip(links, natural.T, strict=True)]
    return as_minimised(np.column_stack(scores), objectives)


class Archive:
    """What a search has seen: how much, and the feasible non-dominated set of all of it.

    `evaluations` keeps those of generation 0, where the references are, and of the front; the rest is in the history.
    `digest` speaks for all of them, generation by generation.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        genes: int,
        blocks: Blocks | None = None,
    ) -> None:
        self._blocks = blocks
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        self.evaluations: dict[int, Evaluation] = {}
        self.evaluated = 0
        self.failed = 0
        self.measured: Counter[int] = Counter()  # how many on how many blocks, where there are blocks
        self._ids = np.zeros(0, dtype=np.int64)
        self._values = np.zeros((0, len(self._objectives)))
        self._genes = genes
        self.digest = ""

    def add(self, evaluations: Iterable[Evaluation]) -> Scored:
        """Take in a generation's evaluations, by candidate id, and return what was measured as arrays."""
        new = sorted(evaluations, key=lambda evaluation: evaluation.candidate.id)
        self.evaluated += len(new)
        self.failed += sum(not evaluation.ok for evaluation in new)
        self.measured.update(each.measured for each in new if each.blocks)
        scored = Scored(new, self._objectives, self._constraints, self._blocks)
        self._seal(new, scored)
        feasible = scored.violation == 0
        # Older ids come first, and of equal rows the first counts: the front never changes for nothing.
        values = np.concatenate([self._values, scored.objectives[feasible]])
        ids = np.concatenate([self._ids, scored.ids[feasible]])
        best = front.non_dominated(values)
        self._values, self._ids = values[best], ids[best]
        self._keep(new)
        return scored

    def _seal(self, new: Sequence[Evaluation], scored: Scored) -> None:
        """Make the digest speak for this generation too, so that a history altered later is noticed."""
        genomes = np.array([each.candidate.genome for each in new], dtype=np.int64)
        self.digest = chained(self.digest, genomes, scored.ids, scored.objectives, scored.violation)

    def _keep(self, new: Sequence[Evaluation]) -> None:
        wanted = set(self._ids.tolist())
        known = [*self.evaluations.values(), *new]
        kept = [each for each in known if each.candidate.generation == 0 or each.candidate.id in wanted]
        self.evaluations = {each.candidate.id: each for each in kept}

    @property
    def front(self) -> Front:
        """The best of everything, in natural signs."""
        genomes = [self.evaluations[number].candidate.genome for number in self._ids.tolist()]
        stacked = np.array(genomes, dtype=np.int64).reshape(len(genomes), self._genes)
        return Front(self._ids.copy(), stacked, as_minimised(self._values, self._objectives))

    def hypervolume(self, point: FloatArray) -> float:
        """Return the front's hypervolume up to `point`, given to minimise."""
        return front.hypervolume(self._values, point)

    @property
    def best(self) -> dict[str, float]:
        """The best value of each objective on the front, in natural signs; empty while there is no front."""
        if not len(self._values):
            return {}
        natural = as_minimised(self._values.min(axis=0), self._objectives)
        return {objective.name: float(value) for objective, value in zip(self._objectives, natural, strict=True)}
