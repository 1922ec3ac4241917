"""Who survives among candidates that pymoo ranks: feasible ones first, and equal ones always in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from emoprune.contracts.algorithm import Measured, Noise
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space

__all__ = ["FeasibleFirst", "GeometryOrCrowding", "Rows", "StableRankAndCrowding", "Standing", "beyond_noise"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What is known of n genomes that take part in a survival: ids (n,), genomes (n, genes), objectives to minimise.

    Genomes are as narrow as their levels allow, because they are copied around more than they are read. `violation`,
    `rank` and `crowding` have shape (n,); the last two are NaN where an algorithm has none.
    """

    noise: Noise | None
    ids: IntArray
    genomes: NDArray[np.unsignedinteger]
    objectives: FloatArray
    violation: FloatArray
    rank: FloatArray
    crowding: FloatArray

    @classmethod
    def of(cls, measured: Measured, space: Space) -> Standing:
        """Return what is known of genomes before their first survival."""
        narrow = measured.genomes.astype(np.min_scalar_type(int(space.levels.max()) - 1))
        rank, crowding = np.full((2, len(measured)), np.nan)
        return cls(measured.noise, measured.ids, narrow, measured.objectives, measured.violation, rank, crowding)

    def __len__(self) -> int:
        return len(self.ids)

    def joined(self, new: Standing) -> Standing:
        """Return these and `new` ones behind them."""
        noise = Noise.joined([self.noise, new.noise])
        return Standing(noise, *map(np.concatenate, zip(self._arrays, new._arrays, strict=True)))

    def at(self, rows: IntArray) -> Standing:
        """Return some of these, in this order."""
        noise = None if self.noise is None else self.noise.at(rows)
        return Standing(noise, *(array[rows] for array in self._arrays))

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.ids, self.genomes, self.objectives, self.violation, self.rank, self.crowding


class Rows(Population):  # type: ignore[misc]  # pymoo ships no types
    """A population as pymoo passes it around, but of row numbers into arrays instead of individuals.

    An object for every individual costs more than all the rest of a search, and the more the larger the population.
    """

    standing: Standing | None

    def __new__(cls, rows: IntArray, standing: Standing) -> Rows:
        """View row numbers of shape (n,) as a population with this standing."""
        made = cast("Rows", np.asarray(rows, dtype=np.int64).view(cls))
        made.standing = standing
        return made

    def __array_finalize__(self, source: object) -> None:
        """Let parts of a population know its standing."""
        self.standing = getattr(source, "standing", None)

    @property
    def _known(self) -> Standing:
        if self.standing is None:
            raise ContractError("expected rows of a standing, found row numbers alone")
        return self.standing

    @property
    def noise(self) -> Noise | None:
        """What was measured on each block; None where a problem is measured in full."""
        noise = self._known.noise
        return None if noise is None else noise.at(np.asarray(self))

    def get(self, *names: str, **_: object) -> Any:
        """Return the objectives, shape (n, objectives): all that survival asks for."""
        if names != ("F",):
            raise ContractError(f"expected survival to ask for the objectives F alone, found {names}")
        return self._known.objectives[np.asarray(self)]

    def set(self, *pairs: Any, **_: object) -> None:
        """Take note of ranks and crowding; what else survival notes (NSGA-III its niches) nobody reads."""
        for name, values in zip(pairs[::2], pairs[1::2], strict=True):
            if name in ("rank", "crowding"):
                getattr(self._known, name)[np.asarray(self)] = values


class FeasibleFirst(Survival):  # type: ignore[misc]  # pymoo ships no types
    """Lets an algorithm's own survival choose among the feasible and fills up with the least violating, stably.

    pymoo's own split sorts unstably, and the order of ties then depends on the processor.
    """

    def __init__(self, inner: Survival) -> None:
        super().__init__(filter_infeasible=False)
        self.inner = inner
        self.inner.filter_infeasible = False
        self.standing: Standing | None = None  # of the population that is told next

    def _do(self, problem: PymooProblem, pop: Population, *, n_survive: int, **options: Any) -> Population:
        if self.standing is None:
            raise ContractError("expected to be told the standing before survival")
        rows = Rows(pop, self.standing)  # pymoo forgets it when it merges
        violation = self.standing.violation[np.asarray(rows)]
        feasible = np.flatnonzero(violation <= 0)
        infeasible = np.flatnonzero(violation > 0)
        order = infeasible[np.argsort(violation[infeasible], kind="stable")]
        if len(feasible) == 0:
            return rows[order[:n_survive]]
        keep = min(len(feasible), n_survive)
        survivors = self.inner.do(problem, rows[feasible], n_survive=keep, **options)
        return Rows(np.concatenate([survivors, rows[order[: n_survive - keep]]]), self.standing)


class StableRankAndCrowding(Survival):  # type: ignore[misc]  # pymoo ships no types
    """NSGA-II's survival on whole arrays: ties in crowding are broken by the given generator and a stable sort.

    Where a problem is measured block by block, candidates that differ in nothing by more than a standard error of the
    paired differences are of one rank: crowding chooses among them, not luck.

    Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002.
    """

    def __init__(self) -> None:
        super().__init__(filter_infeasible=False)

    def _do(
        self, _: PymooProblem, pop: Population, *, n_survive: int, random_state: np.random.Generator, **__: Any
    ) -> Population:
        objectives = pop.get("F")
        rank = np.empty(len(pop), dtype=np.int64)
        crowding = np.empty(len(pop))
        survivors: list[IntArray] = []
        room = n_survive
        if pop.noise is not None:
            fronts = beyond_noise(objectives, pop.noise)
        else:
            fronts = NonDominatedSorting().do(objectives, n_stop_if_ranked=n_survive)
        for depth, front in enumerate(fronts):
            if room == 0:
                break
            rank[front] = depth
            crowding[front] = _crowding(objectives[front])
            if len(front) > room:
                shuffled = random_state.permutation(front)
                front = shuffled[np.argsort(-crowding[shuffled], kind="stable")][:room]  # noqa: PLW2901  # the cut front
            survivors.append(front)
            room -= len(front)
        chosen = np.concatenate(survivors)
        selected = pop[chosen]
        selected.set("rank", rank[chosen], "crowding", crowding[chosen])
        return selected


class GeometryOrCrowding(Survival):  # type: ignore[misc]  # pymoo ships no types
    """AGE-MOEA-II's survival; NSGA-II's where the front has no geometry, because it is a single point.

    pymoo's code for the geometry divides by zero there, and where objectives differ by less than it rounds away.
    """

    def __init__(self, geometry: Survival) -> None:
        super().__init__(filter_infeasible=False)
        self.geometry = geometry
        self.crowding = StableRankAndCrowding()
        self.geometry.filter_infeasible = self.crowding.filter_infeasible = False

    def _do(self, problem: PymooProblem, pop: Population, *, n_survive: int, **options: Any) -> Population:
        try:
            with np.errstate(all="ignore"):  # what is next to zero there is looked after
                return self.geometry.do(problem, pop, n_survive=n_survive, **options)
        except ZeroDivisionError:
            return self.crowding.do(problem, pop, n_survive=n_survive, **options)


def beyond_noise(objectives: FloatArray, noise: Noise) -> list[IntArray]:
    """Return fronts of rows, best first, in which one dominates another only if it is better in something beyond noise.

    Args:
        objectives: To minimise, shape (n, objectives).
        noise: Of the same n.
    """
    no_worse = (objectives[:, None] <= objectives).all(axis=2)
    better, worse = np.nonzero(no_worse & (objectives[:, None] < objectives).any(axis=2))
    dominates = np.zeros_like(no_worse)
    dominates[better, worse] = ~noise.tied(better, worse)
    left, fronts = np.arange(len(objectives)), list[IntArray]()
    while len(left):
        best = ~dominates[np.ix_(left, left)].any(axis=0)
        fronts.append(left[best])
        left = left[~best]
    return fronts


def _crowding(objectives: FloatArray) -> FloatArray:
    if len(objectives) <= 2:
        return np.full(len(objectives), np.inf)
    return np.asarray(calc_crowding_distance(objectives), dtype=np.float64)
