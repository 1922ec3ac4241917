"""NSGA-II with models: far more children are bred than are measured, and what was measured says which are worth it.

For evaluations that take longer than a second or so: fitting models and screening children takes about as long.
Source of the choice among children: Ponweiser et al., Multiobjective Optimization on a Limited Budget of Evaluations
Using Model-Assisted S-Metric Selection (SMS-EGO), 2008; here children of NSGA-II's population are screened instead of
optimising the criterion over the whole space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.algorithms.gaussian_process import GaussianProcess, coordinates
from emoprune.algorithms.pymoo_algorithms import MultiObjective
from emoprune.contracts import Objective, Paper, about, as_minimised
from emoprune.contracts.algorithm import Breeding, Measured, Proposed
from emoprune.errors import ContractError
from emoprune.front import depths, hypervolume, non_dominated
from emoprune.space import IntArray

__all__ = ["Surrogate", "added", "levelled"]

FloatArray = NDArray[np.float64]

SMS_EGO = Paper(
    "Multiobjective Optimization on a Limited Budget of Evaluations Using Model-Assisted S-Metric Selection (SMS-EGO)",
    appeared="Ponweiser et al., 2008",
)

MARGIN = 0.1  # by which the reference point lies beyond what is compared, in shares of its range


@about(
    "search", ["genomes"], cost="fitted Gaussian processes and many children screened per generation", papers=[SMS_EGO]
)
class Surrogate:
    """NSGA-II whose children are screened by Gaussian processes: fewer evaluations, each of them dearer.

    Args:
        offspring: How many are measured per generation; half of the population if None.
        pool: How many children are bred for each one that is measured.
        explore: By how many standard deviations a child is taken to be better than expected; 0 was soonest on widths.
        free: Which share of the offspring is drawn from the children whatever the models say.
        most: How many measured genomes the models are fitted to at most, the best ones.
    """

    ended: str | None = None

    def __init__(
        self,
        offspring: int | None = None,
        pool: int = 30,
        explore: float = 0.0,
        free: float = 0.1,
        most: int = 600,
    ) -> None:
        if offspring is not None and offspring < 1:
            raise ValueError(f"offspring: expected 1 or more, found {offspring}")
        if pool < 2 or most < 10 or explore < 0 or not 0 <= free <= 1:
            raise ValueError(
                f"expected a pool of 2 or more, 10 or more measured genomes at most, explore of 0 or more and a free "
                f"share from 0 to 1, found {pool}, {most}, {explore} and {free}"
            )
        self._offspring = offspring
        self._pool = pool
        self._explore = explore
        self._free = free
        self._most = most
        self._inner = MultiObjective("nsga2")
        self._breeding: Breeding | None = None
        self._told: list[Measured] = []

    @property
    def _given(self) -> Breeding:
        if self._breeding is None:
            raise ContractError("surrogate: call begin(breeding) before anything else")
        return self._breeding

    @property
    def turn(self) -> int | None:
        """How many are measured per generation."""
        return self._offspring or max(1, self._given.population // 2)

    @property
    def population(self) -> IntArray:
        """The ids of NSGA-II's survivors."""
        return self._inner.population

    def check(self, objectives: Sequence[Objective]) -> None:
        """Work with any objectives."""
        self._inner.check(objectives)

    def begin(self, breeding: Breeding) -> None:
        """Take in what is searched."""
        self._breeding = breeding
        self._inner.begin(breeding)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        """Remember what was measured, and let NSGA-II choose its survivors."""
        self._told.append(measured)
        self._inner.tell(measured, rng)

    def state(self) -> Mapping[str, Any]:
        """Return NSGA-II's state; what was measured comes back from the history."""
        return self._inner.state()

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`."""
        self._inner.restore(state, history)
        self._told = [history]

    def ask(self, rng: np.random.Generator) -> Proposed:
        """Return the most promising of many children, and some others."""
        wanted, breeding, parents = int(self.turn or 1), self._given, self._inner.parents
        if not len(parents.ids):
            return Proposed.parentless(breeding.sampled(wanted))
        bred = breeding.children(parents, self._pool * wanted)
        rows = breeding.unmeasured(bred.genomes)
        children = Proposed(bred.genomes[rows], bred.parents[rows])
        chosen = self._screened(children.genomes, wanted, rng)
        picked = chosen[breeding.first_new(children.genomes[chosen], wanted)]
        proposed = Proposed(children.genomes[picked], children.parents[picked])
        missing = wanted - len(proposed)
        return proposed if not missing else _joined(proposed, breeding.offspring(parents, missing))

    def _screened(self, children: IntArray, wanted: int, rng: np.random.Generator) -> IntArray:
        """Return the rows of up to `wanted` children: the models' choice first, then free ones."""
        if len(children) <= wanted:
            return np.arange(len(children))
        free = round(self._free * wanted)
        hopeful = self._by_gain(children, wanted - free)
        rest = np.setdiff1d(np.arange(len(children)), hopeful)
        return np.concatenate([hopeful, rng.permutation(rest)[: wanted - len(hopeful)]])

    def _by_gain(self, children: IntArray, wanted: int) -> IntArray:
        """Return the rows of up to `wanted` children, each expected to add most to the front and those before it."""
        known = self._best_known()
        space, objectives = self._given.space, known.objectives.shape[1]
        values, broken = levelled(known), _broken(known)
        if broken.any():
            values = np.column_stack([values, broken])
        model = GaussianProcess.of(coordinates(space, known.genomes), values, int(space.free.sum()))
        mean, spread = model.predicted(coordinates(space, children))
        hoped = mean - self._explore * spread
        if values.shape[1] > objectives:
            kept = np.flatnonzero(hoped[:, objectives] <= 0)
            if len(kept) < wanted:
                kept = np.argsort(hoped[:, objectives], kind="stable")[:wanted]
        else:
            kept = np.arange(len(children))
        front = known.objectives[known.violation == 0]
        front = front[non_dominated(front)]
        chosen = added(front, hoped[kept][:, :objectives], self._point(front), wanted)
        return np.asarray(kept[chosen])

    def _best_known(self) -> Measured:
        """Return what models are fitted to: of what was measured the least dominated, feasible before infeasible."""
        told = Measured.joined(self._told)
        if len(told) <= self._most:
            return told
        order = np.lexsort((-told.ids, depths(levelled(told)), _broken(told)))[: self._most]
        return told.at(np.sort(order))

    def _point(self, front: FloatArray) -> FloatArray:
        """Return from where gains are measured: each objective's worst value, or a little beyond the front."""
        objectives = self._given.objectives
        stated = [np.nan if each.worst is None else each.worst for each in objectives]
        worst = as_minimised(np.array(stated, dtype=np.float64), objectives)
        if not len(front):
            return np.nan_to_num(worst)
        low, high = front.min(axis=0), front.max(axis=0)
        beyond = high + MARGIN * np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        return np.asarray(np.where(np.isfinite(worst), np.maximum(worst, high), beyond))


def _broken(known: Measured) -> FloatArray:
    """Return the violation of bounds, shape (n,): that a genome was given up says nothing of these."""
    return known.violation if known.noise is None else known.noise.broken


def levelled(known: Measured) -> FloatArray:
    """Return objectives as they would be on all blocks, shape (n, objectives).

    The first blocks may be easier than others: by how much says the mean of the genomes that were measured in full.
    """
    noise = known.noise
    if noise is None:
        return known.objectives
    shares, levels = noise.shares, known.objectives.copy()
    whole = noise.at(shares == 1)
    if not len(whole.losses):
        return levels
    for share in np.unique(shares[shares < 1]):
        some, seen = shares == share, round(share * len(noise.sizes))
        apart = (whole.means() - whole.means(seen)).mean(axis=0)
        levels[some] = noise.scores(noise.at(some).means(seen) + apart)
    return levels


def _joined(one: Proposed, other: Proposed) -> Proposed:
    return Proposed(np.concatenate([one.genomes, other.genomes]), np.concatenate([one.parents, other.parents]))


def added(front: FloatArray, points: FloatArray, reference: FloatArray, wanted: int) -> IntArray:
    """Return the rows of up to `wanted` points, each adding most hypervolume to the front and those before it.

    Args:
        front: Non-dominated, to minimise, shape (n, objectives); may be empty.
        points: Shape (m, objectives).
        reference: From where volume is measured, shape (objectives,).
        wanted: How many; fewer come back when no other point adds anything.
    """
    known, chosen = front, list[int]()
    left = np.arange(len(points))
    while len(chosen) < wanted and len(left):
        gains = _gains(known, points[left], reference)
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        chosen.append(int(left[best]))
        known = np.concatenate([known, points[left[best]][None, :]])
        known = known[non_dominated(known)]
        left = np.delete(left[gains > 0], int((gains[:best] > 0).sum()))
    return np.array(chosen, dtype=np.int64)


def _gains(front: FloatArray, points: FloatArray, reference: FloatArray) -> FloatArray:
    """Return how much hypervolume each point alone adds to a front, shape (m,)."""
    inside = front[(front < reference).all(axis=1)]
    if points.shape[1] == 2:
        return _gains_of_two(inside, points, reference)
    gains = np.zeros(len(points))
    before = hypervolume(inside, reference) if len(inside) else 0.0
    for row in np.flatnonzero((points < reference).all(axis=1)):
        joined = np.concatenate([inside, points[row][None, :]])
        gains[row] = hypervolume(joined[non_dominated(joined)], reference) - before
    return gains


def _gains_of_two(front: FloatArray, points: FloatArray, reference: FloatArray) -> FloatArray:
    """Add up, strip by strip between the front's members, the area below the front that each point dominates."""
    steps = front[np.argsort(front[:, 0], kind="stable")]
    left = np.concatenate([[-np.inf], steps[:, 0]])
    right = np.concatenate([steps[:, 0], reference[:1]])
    height = np.concatenate([reference[1:], steps[:, 1]])
    widths = np.maximum(0.0, right - np.maximum(left, points[:, :1]))
    return np.asarray((widths * np.maximum(0.0, height - points[:, 1:])).sum(axis=1))
