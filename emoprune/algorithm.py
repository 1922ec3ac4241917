"""The algorithms that pymoo brings, as plug-ins; the only file that imports pymoo.

pymoo provides the algorithms (NSGA-II, NSGA-III, AGE-MOEA-II, SMS-EMOA); selection, mating and duplicate elimination
are ours and work on whole arrays, survival sorts are stable, and nothing that is not finite ever gets in.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.survival import Survival
from pymoo.core.termination import NoTermination
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

from emoprune.contracts import Objective
from emoprune.errors import ConfigError, ContractError
from emoprune.proposals import Algorithm, Breeding, Measured, Parents, Proposed
from emoprune.space import IntArray, Space, plain_genome, read_genome

__all__ = ["MultiObjective", "age_moea2", "nsga2", "nsga3", "random", "sms_emoa"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What is known of n genomes that take part in a survival: ids (n,), genomes (n, genes), objectives to minimise.

    Genomes are as narrow as their levels allow, because they are copied around more than they are read. `violation`,
    `rank` and `crowding` have shape (n,); the last two are NaN where an algorithm has none.
    """

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
        return cls(measured.ids, narrow, measured.objectives, measured.violation, rank, crowding)

    def __len__(self) -> int:
        return len(self.ids)

    def joined(self, new: Standing) -> Standing:
        """Return these and `new` ones behind them."""
        return Standing(*map(np.concatenate, zip(self._arrays, new._arrays, strict=True)))

    def at(self, rows: IntArray) -> Standing:
        """Return some of these, in this order."""
        return Standing(*(array[rows] for array in self._arrays))

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


def _crowding(objectives: FloatArray) -> FloatArray:
    if len(objectives) <= 2:
        return np.full(len(objectives), np.inf)
    return np.asarray(calc_crowding_distance(objectives), dtype=np.float64)


@dataclass(slots=True, eq=False)
class MultiObjective:
    """One of pymoo's algorithms, or the control that ignores what it is told but ranks it as NSGA-II does.

    Args:
        name: nsga2, nsga3, age-moea2, sms-emoa or random.
    """

    name: str
    _breeding: Breeding | None = None
    _pymoo: Any = None
    _standing: Standing | None = None

    @property
    def turn(self) -> int | None:
        """As many as survive."""
        return self._given.population

    @property
    def population(self) -> IntArray:
        """The survivors' ids, in pymoo's order."""
        return self._population.ids

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
        told, before = Standing.of(measured, self._given.space), self._standing
        standing = told if before is None else before.joined(told)
        self._pymoo.random_state = rng
        self._pymoo.survival.standing = standing
        with _pymoo_warnings_fenced():
            self._pymoo.tell(infills=Rows(np.arange(len(standing) - len(told), len(standing)), standing))
        self._settle(standing.at(np.asarray(self._pymoo.pop)))

    def _settle(self, survivors: Standing) -> None:
        """Let go of those that did not survive."""
        self._standing = survivors
        self._pymoo.pop = Rows(np.arange(len(survivors)), survivors)

    @property
    def _population(self) -> Standing:
        """The standing of the population, of nobody before the first survival."""
        if self._standing is not None:
            return self._standing
        genes, objectives = len(self._given.space), len(self._given.objectives)
        ids, genomes = np.zeros(0, dtype=np.int64), np.zeros((0, genes), dtype=np.int64)
        return Standing.of(Measured(ids, genomes, np.zeros((0, objectives)), np.zeros(0)), self._given.space)

    @property
    def parents(self) -> Parents:
        """The surviving population as arrays, in pymoo's order."""
        known = self._population
        genomes = known.genomes.astype(np.int64)
        return Parents(known.ids, genomes, known.objectives, known.violation, known.crowding)

    def state(self) -> dict[str, Any]:
        """Return the population in pymoo's order, and what the algorithm remembers beside it."""
        known = self._population
        return {
            "ids": known.ids.tolist(),
            "genomes": [plain_genome(genome) for genome in known.genomes],
            "objectives": known.objectives.tolist(),
            "violation": known.violation.tolist(),
            "rank": [None if np.isnan(rank) else int(rank) for rank in known.rank],
            "crowding": _plain(known.crowding),
            "normalisation": self._normalisation(),
        }

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:  # noqa: ARG002  # the state says it all
        """Continue from `state`."""
        space, objectives = self._given.space, len(self._given.objectives)
        measured = Measured(
            np.array(state["ids"], dtype=np.int64),
            np.array([read_genome(plain) for plain in state["genomes"]], dtype=np.int64).reshape(-1, len(space)),
            np.array(state["objectives"], dtype=np.float64).reshape(-1, objectives),
            np.array(state["violation"], dtype=np.float64),
        )
        rank, crowding = (np.array(state[name], dtype=np.float64) for name in ("rank", "crowding"))
        self._pymoo.is_initialized = True
        self._pymoo.n_iter = 2
        self._settle(replace(Standing.of(measured, space), rank=rank, crowding=crowding))
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
