"""ask() and tell() over pymoo's multi-objective algorithms; the only file that imports pymoo.

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

from emoprune.errors import ConfigError, ContractError, RunCorrupt
from emoprune.space import IntArray, Space
from emoprune.variation import NO_PARENTS, Novelty, Operators, Parents, Variation

__all__ = ["ALGORITHMS", "Evolution", "Offspring", "check_algorithm"]

ALGORITHMS = ("nsga2", "nsga3", "age-moea2", "sms-emoa", "random")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Offspring:
    """New genomes to evaluate: `ids` (n,), `genomes` (n, genes), `parents` (n, 2) with -1 for none, `origins` (n,)."""

    ids: IntArray
    genomes: IntArray
    parents: IntArray
    origins: tuple[str, ...]

    @classmethod
    def none(cls, genes: int) -> Offspring:
        """Return an empty generation."""
        ids, genomes, parents = (np.zeros(shape, dtype=np.int64) for shape in ((0,), (0, genes), (0, 2)))
        return cls(ids, genomes, parents, ())

    def __len__(self) -> int:
        return len(self.ids)


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


class Evolution:
    """One search's algorithm: ask for offspring, tell what they scored; all state can be saved and restored.

    Args:
        name: One of `ALGORITHMS`; `random` is the control: new genomes from the sampling operator only.
        space: Which genomes are legal.
        operators: How genomes vary.
        rng: The only source of randomness.
        objectives: How many numbers are minimised.
        population: How many genomes survive each generation, and how many are born in it.

    Raises:
        ConfigError: The algorithm cannot work with this number of objectives, or needs an extra that is missing.
    """

    def __init__(
        self,
        name: str,
        space: Space,
        operators: Operators,
        rng: np.random.Generator,
        *,
        objectives: int,
        population: int,
    ) -> None:
        self.name = name
        self.space = space
        self.population = population
        self.next_id = 0
        self._rng = rng
        self._variation = Variation(space, operators, Novelty(space), rng)
        self._parents: Parents | None = None
        self._asked = Offspring.none(len(space))
        self._pymoo = _make(name, objectives, population)
        self._pymoo.setup(PymooProblem(n_var=len(space), n_obj=objectives, n_ieq_constr=1, xl=0, xu=space.levels - 1))
        self._pymoo.random_state = rng

    def begin(self, seeds: IntArray, origins: Sequence[str]) -> Offspring:
        """Return generation 0: the `seeds` (m, genes) themselves, first and in order, then a filled-up population.

        Equal seeds come back once.
        """
        known = self._variation.novelty.first_new(self.space.check(seeds, "references"), len(seeds))
        chosen = seeds[known]
        filled = self._variation.initial(chosen, max(0, self.population - len(chosen)))
        parentless = np.full((len(chosen) + len(filled), 2), NO_PARENTS, dtype=np.int64)
        named = [*(origins[row] for row in known), *["initial"] * len(filled)]
        return self._numbered(np.concatenate([chosen, filled]), parentless, named)

    def ask(self) -> Offspring:
        """Return the next generation's candidates, none of them ever asked for before; none at all if none are left."""
        if self.name == "random":
            genomes = self._variation.sampled(self.population)
            ancestry = np.full((len(genomes), 2), NO_PARENTS, dtype=np.int64)
        else:
            genomes, ancestry = self._variation.offspring(self.parents, self.population)
        origins = ["sampling" if alone else "mating" for alone in ancestry[:, 0] == NO_PARENTS]
        return self._numbered(genomes, ancestry, origins)

    def _numbered(self, genomes: IntArray, parents: IntArray, origins: Sequence[str]) -> Offspring:
        ids = np.arange(self.next_id, self.next_id + len(genomes))
        self.next_id += len(genomes)
        self._asked = Offspring(ids, genomes, parents, tuple(origins))
        return self._asked

    def tell(self, rows: IntArray, objectives: FloatArray, violation: FloatArray) -> None:
        """Let survival choose from the population and the offspring last asked for.

        Args:
            rows: Which of the offspring were measured, shape (n,); failed ones are simply not named.
            objectives: To minimise, shape (n, objectives), finite.
            violation: Total violation, shape (n,), 0 where feasible.

        Raises:
            ContractError: A number is not finite, or the shapes do not fit.
        """
        if not (len(rows) == len(objectives) == len(violation)):
            raise ContractError(f"tell: {len(rows)} rows, {len(objectives)} objectives, {len(violation)} violations")
        if not (np.isfinite(objectives).all() and np.isfinite(violation).all()):
            raise ContractError("tell: NaN and infinities must not reach the algorithm; leave failed evaluations out")
        if len(rows) == 0:
            return
        measured = _members(self._asked.ids[rows], self._asked.genomes[rows], objectives, violation)
        with _pymoo_warnings_fenced():
            self._pymoo.tell(infills=measured)
        self._parents = None

    @property
    def parents(self) -> Parents:
        """The surviving population as arrays, in pymoo's order."""
        if self._parents is None:
            pop = self._pymoo.pop if self._pymoo.is_initialized else Population.create()
            crowding = [np.nan if member.crowding is None else member.crowding for member in pop]
            self._parents = Parents(
                np.array([member.number for member in pop], dtype=np.int64),
                np.array([member.X for member in pop], dtype=np.int64).reshape(len(pop), len(self.space)),
                np.array([member.F for member in pop], dtype=np.float64),
                np.array([member.violation for member in pop], dtype=np.float64),
                np.array(crowding, dtype=np.float64),
            )
            # Or each survivor would keep the genomes of all that were born with it in memory.
            for member, genome, objectives in zip(pop, self._parents.genomes, self._parents.objectives, strict=True):
                member.X, member.F = genome, objectives
        return self._parents

    def state(self) -> dict[str, Any]:
        """Return everything that the next `ask` depends on, as plain JSON values; call it between tell and ask."""
        parents = self.parents
        return {
            "algorithm": self.name,
            "next_id": self.next_id,
            "rng": self._rng.bit_generator.state,
            "population": {
                "ids": parents.ids.tolist(),
                "genomes": parents.genomes.tolist(),
                "objectives": parents.objectives.tolist(),
                "violation": parents.violation.tolist(),
                "rank": [None if rank is None else int(rank) for rank in self._ranks()],
                "crowding": _plain(parents.crowding),
            },
            "normalisation": self._normalisation(),
        }

    def _ranks(self) -> list[int | None]:
        return [member.rank for member in self._pymoo.pop] if len(self.parents.ids) else []

    def restore(self, state: Mapping[str, Any], asked: IntArray) -> None:
        """Continue from `state`; `asked` holds every genome asked for before it, shape (n, genes).

        Raises:
            RunCorrupt: The state is another algorithm's, or not a state at all.
        """
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RunCorrupt(f"the checkpoint does not hold a state of {self.name}: {error!r}") from error
        self._variation.novelty.remember(asked)

    def _restore(self, state: Mapping[str, Any]) -> None:
        if state["algorithm"] != self.name:
            raise ValueError(f"made by {state['algorithm']}")
        population = state["population"]
        pop = _members(
            np.array(population["ids"], dtype=np.int64),
            np.array(population["genomes"], dtype=np.int64).reshape(-1, len(self.space)),
            np.array(population["objectives"], dtype=np.float64),
            np.array(population["violation"], dtype=np.float64),
        )
        for member, rank, crowding in zip(pop, population["rank"], population["crowding"], strict=True):
            member.rank, member.crowding = rank, float(crowding)
        self._pymoo.pop = pop
        self._pymoo.is_initialized = True
        self._pymoo.n_iter = 2
        self._rng.bit_generator.state = state["rng"]
        self.next_id = int(state["next_id"])
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
    elif name == "age-moea2":
        made = _quiet(_age_moea2(objectives))(**given)
    else:
        made = _quiet(NSGA2)(survival=StableRankAndCrowding(), **given)
    made.survival = FeasibleFirst(made.survival)
    made.termination = NoTermination()
    return made


def _quiet(algorithm: type) -> Any:
    """Return the algorithm without its search for the optimum after every tell, which nothing here reads."""
    return type(algorithm.__name__, (algorithm,), {"_set_optimum": lambda self, **_: None})  # noqa: ARG005  # a method


def check_algorithm(name: str, objectives: int) -> None:
    """Refuse an algorithm that cannot work with this number of objectives, or that needs an extra which is missing.

    Raises:
        ConfigError: With what to do.
    """
    if name == "age-moea2":
        _age_moea2(objectives)


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
