"""The algorithms that pymoo brings, as plug-ins; the only file that imports pymoo.

pymoo provides the algorithms (NSGA-II, NSGA-III, AGE-MOEA-II, SMS-EMOA); selection, mating and duplicate elimination
are ours and work on whole arrays, survival sorts are stable, and nothing that is not finite ever gets in.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.individual import Individual
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.survival import Survival
from pymoo.core.termination import NoTermination
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

from emoprune.contracts import Objective
from emoprune.errors import ConfigError, ContractError
from emoprune.proposals import Algorithm, Breeding, Measured, Parents, Proposed
from emoprune.space import IntArray

__all__ = ["MultiObjective", "age_moea2", "nsga2", "nsga3", "random", "sms_emoa"]

FloatArray = NDArray[np.float64]


class FeasibleFirst(Survival):  # type: ignore[misc]  # pymoo ships no types
    """Lets an algorithm's own survival choose among the feasible and fills up with the least violating, stably.

    pymoo's own split sorts unstably, and the order of ties then depends on the processor.
    """

    def __init__(self, inner: Survival) -> None:
        super().__init__(filter_infeasible=False)
        self.inner = inner
        self.inner.filter_infeasible = False

    def _do(self, problem: PymooProblem, pop: Population, *, n_survive: int, **options: Any) -> Population:
        violation = np.array([member.violation for member in pop])
        feasible = np.flatnonzero(violation <= 0)
        infeasible = np.flatnonzero(violation > 0)
        order = infeasible[np.argsort(violation[infeasible], kind="stable")]
        if len(feasible) == 0:
            return pop[order[:n_survive]]
        keep = min(len(feasible), n_survive)
        survivors = self.inner.do(problem, pop[feasible], n_survive=keep, **options)
        return Population.merge(survivors, pop[order[: n_survive - keep]])


class StableRankAndCrowding(RankAndCrowding):  # type: ignore[misc]  # pymoo ships no types
    """NSGA-II's survival on whole arrays: ties in crowding are broken by the given generator and a stable sort.

    Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002.
    """

    def _do(
        self, _: PymooProblem, pop: Population, *, n_survive: int, random_state: np.random.Generator, **__: Any
    ) -> Population:
        objectives = np.array([member.F for member in pop])
        rank = np.empty(len(pop), dtype=np.int64)
        crowding = np.empty(len(pop))
        survivors: list[IntArray] = []
        room = n_survive
        for depth, front in enumerate(NonDominatedSorting().do(objectives, n_stop_if_ranked=n_survive)):
            rank[front] = depth
            crowding[front] = _crowding(objectives[front])
            if len(front) > room:
                shuffled = random_state.permutation(front)
                front = shuffled[np.argsort(-crowding[shuffled], kind="stable")][:room]  # noqa: PLW2901  # the cut front
            survivors.append(front)
            room -= len(front)
        chosen = np.concatenate(survivors)
        selected = pop[chosen]
        for member, depth, space in zip(selected, rank[chosen].tolist(), crowding[chosen].tolist(), strict=True):
            member.rank, member.crowding = depth, space
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


def _crowding(objectives: FloatArray) -> FloatArray:
    if len(objectives) <= 2:
        return np.full(len(objectives), np.inf)
    return np.asarray(calc_crowding_distance(objectives), dtype=np.float64)


class Member(Individual):  # type: ignore[misc]  # pymoo ships no types
    """An evaluated individual with plain attributes, where pymoo's has properties, a config and sets of its own.

    Those cost more than the whole search, and the more the larger the population, because Python's garbage collector
    walks through them.
    """

    X: IntArray | None = None
    F: FloatArray | None = None
    rank: int | None = None
    crowding: float | None = None

    def __init__(self, number: int, genome: IntArray, objectives: FloatArray, violation: float) -> None:
        self.number = number
        self.X = genome
        self.F = objectives
        self.violation = violation

    @property
    def data(self) -> dict[str, Any]:
        """Where pymoo puts what else it notes (NSGA-III its niches): among the attributes."""
        return self.__dict__


def _members(ids: IntArray, genomes: IntArray, objectives: FloatArray, violation: FloatArray) -> Population:
    rows = zip(ids.tolist(), genomes, objectives, violation.tolist(), strict=True)
    return Population([Member(*row) for row in rows])


@dataclass(slots=True, eq=False)
class MultiObjective:
    """One of pymoo's algorithms, or the control that ignores what it is told but ranks it as NSGA-II does.

    Args:
        name: nsga2, nsga3, age-moea2, sms-emoa or random.
    """

    name: str
    _breeding: Breeding | None = None
    _pymoo: Any = None
    _parents: Parents | None = None

    @property
    def turn(self) -> int | None:
        """As many as survive."""
        return self._given.population

    @property
    def population(self) -> IntArray:
        """The survivors' ids, in pymoo's order."""
        return self.parents.ids

    @property
    def ended(self) -> str | None:
        """It goes on for as long as there are new genomes."""
        return None

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse a number of objectives that it cannot work with, or an extra that is missing."""
        if self.name == "age-moea2":
            _age_moea2(len(objectives))

    def begin(self, breeding: Breeding) -> None:
        """Set pymoo up for this space."""
        self._breeding = breeding
        space, objectives = breeding.space, len(breeding.objectives)
        self._pymoo = _make(self.name, objectives, breeding.population)
        self._pymoo.setup(PymooProblem(n_var=len(space), n_obj=objectives, n_ieq_constr=1, xl=0, xu=space.levels - 1))

    @property
    def _given(self) -> Breeding:
        if self._breeding is None:
            raise ContractError(f"{self.name}: call begin(breeding) before anything else")
        return self._breeding

    def ask(self, rng: np.random.Generator) -> Proposed:  # noqa: ARG002  # breeding has the same generator
        """Return the next generation's genomes."""
        if self.name == "random":
            return Proposed.parentless(self._given.sampled(self._given.population))
        return self._given.offspring(self.parents, self._given.population)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        """Let survival choose from the population and what was measured."""
        if len(measured) == 0:
            return
        self._pymoo.random_state = rng
        told = _members(measured.ids, measured.genomes, measured.objectives, measured.violation)
        with _pymoo_warnings_fenced():
            self._pymoo.tell(infills=told)
        self._parents = None

    @property
    def parents(self) -> Parents:
        """The surviving population as arrays, in pymoo's order."""
        if self._parents is None:
            pop = self._pymoo.pop if self._pymoo.is_initialized else Population.create()
            crowding = [np.nan if member.crowding is None else member.crowding for member in pop]
            self._parents = Parents(
                np.array([member.number for member in pop], dtype=np.int64),
                np.array([member.X for member in pop], dtype=np.int64).reshape(len(pop), len(self._given.space)),
                np.array([member.F for member in pop], dtype=np.float64),
                np.array([member.violation for member in pop], dtype=np.float64),
                np.array(crowding, dtype=np.float64),
            )
            # Or each survivor would keep the genomes of all that were born with it in memory.
            for member, genome, objectives in zip(pop, self._parents.genomes, self._parents.objectives, strict=True):
                member.X, member.F = genome, objectives
        return self._parents

    def state(self) -> dict[str, Any]:
        """Return the population in pymoo's order, and what the algorithm remembers beside it."""
        parents = self.parents
        return {
            "ids": parents.ids.tolist(),
            "genomes": parents.genomes.tolist(),
            "objectives": parents.objectives.tolist(),
            "violation": parents.violation.tolist(),
            "rank": [None if rank is None else int(rank) for rank in self._ranks()],
            "crowding": _plain(parents.crowding),
            "normalisation": self._normalisation(),
        }

    def _ranks(self) -> list[int | None]:
        return [member.rank for member in self._pymoo.pop] if len(self.parents.ids) else []

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:  # noqa: ARG002  # the state says it all
        """Continue from `state`."""
        pop = _members(
            np.array(state["ids"], dtype=np.int64),
            np.array(state["genomes"], dtype=np.int64).reshape(-1, len(self._given.space)),
            np.array(state["objectives"], dtype=np.float64),
            np.array(state["violation"], dtype=np.float64),
        )
        for member, rank, crowding in zip(pop, state["rank"], state["crowding"], strict=True):
            member.rank, member.crowding = rank, float(crowding)
        self._pymoo.pop = pop
        self._pymoo.is_initialized = True
        self._pymoo.n_iter = 2
        self._parents = None
        self._set_normalisation(state["normalisation"])

    def _normalisation(self) -> dict[str, Any] | None:
        """Return NSGA-III's memory of ideal, worst, nadir and extreme points; the other algorithms have none."""
        norm = getattr(self._pymoo.survival.inner, "norm", None)
        return None if norm is None else {name: _plain(value) for name, value in vars(norm).items()}

    def _set_normalisation(self, saved: Mapping[str, Any] | None) -> None:
        for name, value in (saved or {}).items():
            array = None if value is None else np.array(value, dtype=np.float64)
            setattr(self._pymoo.survival.inner.norm, name, array)


def nsga2() -> Algorithm:
    """NSGA-II: dominance, then crowding distance."""
    return MultiObjective("nsga2")


def nsga3() -> Algorithm:
    """NSGA-III: dominance, then reference directions; for three and more objectives."""
    return MultiObjective("nsga3")


def age_moea2() -> Algorithm:
    """AGE-MOEA-II: dominance, then the front's own geometry; needs the extra `age-moea2`."""
    return MultiObjective("age-moea2")


def sms_emoa() -> Algorithm:
    """SMS-EMOA: dominance, then each member's share of the hypervolume."""
    return MultiObjective("sms-emoa")


def random() -> Algorithm:
    """New genomes from the sampling operator alone: the control."""
    return MultiObjective("random")


def _plain(array: FloatArray | None) -> Any:
    """Return nested lists with infinities and NaN spelt out, which JSON has no numbers for."""
    if array is None:
        return None
    if array.ndim > 1:
        return [_plain(row) for row in array]
    return [value if np.isfinite(value) else str(value) for value in array.tolist()]


@contextlib.contextmanager
def _pymoo_warnings_fenced() -> Iterator[None]:
    """Undo pymoo's process-wide `warnings.simplefilter`, which would silence the caller's warnings too."""
    with warnings.catch_warnings():
        yield


def _make(name: str, objectives: int, population: int) -> Any:
    """Build the pymoo algorithm with stable survival and without its own mating and bookkeeping of optima."""
    # Everything with a shared default instance is passed, so that two searches never share an operator.
    given = {"pop_size": population, "mating": InfillCriterion(), "sampling": None, "crossover": None, "mutation": None}
    given |= {"selection": None, "eliminate_duplicates": False, "output": None}
    if name == "nsga3":
        made = _quiet(NSGA3)(ref_dirs=_reference_directions(objectives, population), **given)
    elif name == "sms-emoa":
        made = _quiet(SMSEMOA)(**given)
        if objectives == 1:  # moocore starts at two; of one, what contributes least is what ranks last
            made.survival = StableRankAndCrowding()
    elif name == "age-moea2":
        made = _quiet(_age_moea2(objectives))(**given)
        made.survival = GeometryOrCrowding(made.survival)
    else:
        made = _quiet(NSGA2)(survival=StableRankAndCrowding(), **given)
    made.survival = FeasibleFirst(made.survival)
    made.termination = NoTermination()
    return made


def _quiet(algorithm: type) -> Any:
    """Return the algorithm without its search for the optimum after every tell, which nothing here reads."""
    return type(algorithm.__name__, (algorithm,), {"_set_optimum": lambda self, **_: None})  # noqa: ARG005  # a method


def _age_moea2(objectives: int) -> type:
    if objectives < 2:
        raise ConfigError("search.algorithm: age-moea2 needs at least 2 objectives, the problem has 1; use nsga2")
    try:
        from pymoo.algorithms.moo.age2 import AGEMOEA2  # compiled by numba, an extra
    except Exception as error:  # pymoo raises a bare Exception when numba is missing
        raise ConfigError(
            "search.algorithm: age-moea2 is compiled by numba, which is not installed; "
            "install it with: pip install 'emoprune[age-moea2]'"
        ) from error
    found: type = AGEMOEA2
    return found


def _reference_directions(objectives: int, population: int) -> FloatArray:
    """Return the finest Das-Dennis grid with no more directions than the population has members."""
    if objectives == 1:
        return np.ones((1, 1))
    grid = np.eye(objectives)
    for partitions in range(1, population + 1):
        finer = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
        if len(finer) > population:
            break
        grid = finer
    return np.asarray(grid, dtype=np.float64)
