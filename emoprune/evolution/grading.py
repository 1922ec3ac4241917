"""Who is measured on more blocks: whoever is not shown, on the blocks seen so far, to be dominated by another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune import front
from emoprune.contracts import MEASURED, Blocks, Constraint, Direction, Objective, as_minimised, violations
from emoprune.evolution.archive import Scored
from emoprune.records import Evaluation, Split, table

__all__ = ["Grading"]

FloatArray = NDArray[np.float64]

AT_ONCE = 2_000_000  # differences in memory


class Grading:
    """Compares candidates with rivals, paired on the blocks that both have seen.

    A candidate is given up if one rival costs no more in any exact objective and is better in all the others by more
    than chance: the mean of the paired differences over blocks exceeds its standard error by Student's quantile. The
    standard error is the candidate's own or, where that is larger, the one that is usual among all candidates: few
    blocks may agree by chance. This is a race against the survivors, as in F-Race (Birattari et al. 2002), with several
    objectives as in S-Race (Zhang et al. 2013), decided by what is recorded alone.

    Args:
        blocks: The problem's.
        objectives: All of them.
        constraints: All of them; a rival has to keep them.
        confidence: With which one rival gives up a candidate, over all grades together; above 0.5 and below 1.
    """

    def __init__(
        self, blocks: Blocks, objectives: Sequence[Objective], constraints: Sequence[Constraint], confidence: float
    ) -> None:
        self.blocks = blocks
        self._objectives = tuple(objectives)
        self._noisy = [each for each in objectives if each.name in blocks.noisy]
        self._exact = [each for each in objectives if each.name not in blocks.noisy]
        self._constraints = [each for each in constraints if each.name != MEASURED]
        self._confidence = 1.0 - (1.0 - confidence) / max(1, len(blocks.grades) - 1)

    def scored(self, measured: Sequence[Evaluation]) -> Scored:
        """Return as arrays what was measured so far; that blocks are left to measure is no violation."""
        return Scored(measured, self._objectives, self._constraints, self.blocks)

    def going_on(self, measured: Sequence[Evaluation], standing: Iterable[Evaluation]) -> list[Evaluation]:
        """Return those of the candidates that go on to the next grade, by id, whatever order they come in.

        Args:
            measured: Candidates, all of them on the same first blocks; failed ones go nowhere.
            standing: Candidates that were measured in full: the front so far.
        """
        going = _by_id(each for each in measured if each.ok)
        if not going or not self._noisy:
            return going
        count = going[0].measured
        rivals = self._rivals([*_by_id(standing), *going], count)
        if not rivals:
            return going
        given_up = self._dominated(going, rivals, count)
        return [each for each, out in zip(going, given_up, strict=True) if not out]

    def _rivals(self, candidates: Sequence[Evaluation], count: int) -> list[Evaluation]:
        """Return the feasible candidates that none dominates on these blocks, those measured in full first."""
        bounded = table(candidates, [each.name for each in self._constraints])
        feasible = violations(bounded, self._constraints).sum(axis=1) == 0
        able = [each for each, fits in zip(candidates, feasible, strict=True) if fits and each.measured >= count]
        if not able:
            return []
        means = np.average(self._varying(able, count), axis=1, weights=self.blocks.sizes[Split.SEARCH][:count])
        best = front.non_dominated(np.concatenate([means, self._costs(able)], axis=1))
        return [each for each, among in zip(able, best, strict=True) if among]

    def _costs(self, candidates: Sequence[Evaluation]) -> FloatArray:
        """Return the exact objectives to minimise, shape (n, exact)."""
        return as_minimised(table(candidates, [each.name for each in self._exact]), self._exact)

    def _varying(self, candidates: Sequence[Evaluation], count: int) -> FloatArray:
        """Return the others to minimise, shape (n, blocks, varying)."""
        signs = np.array([1.0 if each.direction is Direction.MINIMISE else -1.0 for each in self._noisy])
        rows = [[each.blocks[objective.name][:count] for objective in self._noisy] for each in candidates]
        return np.asarray(np.swapaxes(np.array(rows, dtype=np.float64), 1, 2) * signs)

    def _dominated(self, going: Sequence[Evaluation], rivals: Sequence[Evaluation], count: int) -> NDArray[np.bool_]:
        """Say which candidates some rival dominates beyond chance, shape (n,)."""
        costs, rival_costs = self._costs(going), self._costs(rivals)
        scores, rival_scores = self._varying(going, count), self._varying(rivals, count)
        step = max(1, AT_ONCE // rival_scores.size)
        pieces = [self._compared(scores[begin : begin + step], rival_scores) for begin in range(0, len(scores), step)]
        means, errors = (np.concatenate(each) for each in zip(*pieces, strict=True))
        # Of all candidates, however many fit into memory at once; and no outlier among them decides for the others.
        usual = np.median(errors, axis=0, keepdims=True)
        behind = (means > self._quantile(count) * np.maximum(errors, usual)).all(axis=2)
        return np.asarray((behind & (rival_costs <= costs[:, None]).all(axis=2)).any(axis=1))

    def _quantile(self, count: int) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(count - 1, self._confidence))

    def _compared(self, scores: FloatArray, rivals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and standard errors of paired differences, shape (candidates, rivals, varying) each."""
        apart = np.moveaxis(scores[:, None] - rivals, 2, -1)
        mean = np.average(apart, axis=-1, weights=self.blocks.sizes[Split.SEARCH][: apart.shape[-1]])
        return np.asarray(mean), self.blocks.error(Split.SEARCH, apart)


def _by_id(candidates: Iterable[Evaluation]) -> list[Evaluation]:
    return sorted(candidates, key=lambda each: each.candidate.id)
