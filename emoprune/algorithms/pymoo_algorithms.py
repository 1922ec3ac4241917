"""The algorithms that pymoo brings, as plug-ins.

pymoo provides the algorithms (NSGA-II, NSGA-III, AGE-MOEA-II, SMS-EMOA); selection, mating and duplicate elimination
are ours and work on whole arrays, survival sorts are stable, and nothing that is not finite ever gets in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem as PymooProblem

from emoprune.algorithms.pymoo_setup import age_moea2_class, made, pymoo_warnings_fenced
from emoprune.algorithms.pymoo_survival import Rows, Standing
from emoprune.contracts import Objective, Paper, about
from emoprune.contracts.algorithm import Algorithm, Breeding, Measured, Parents, Proposed
from emoprune.errors import ContractError
from emoprune.space import IntArray, plain_genome, read_genome

__all__ = ["MultiObjective", "age_moea2", "nsga2", "nsga3", "random", "sms_emoa"]

FloatArray = NDArray[np.float64]

NSGA2 = Paper(
    "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
    appeared="IEEE Transactions on Evolutionary Computation 6, 2002",
)
NSGA3 = Paper(
    "An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated "
    "Sorting Approach, Part I",
    appeared="IEEE Transactions on Evolutionary Computation 18, 2014",
)
AGE_MOEA2 = Paper(
    "An Improved Pareto Front Modeling Algorithm for Large-scale Many-Objective Optimization",
    appeared="GECCO 2022",
)
SMS_EMOA = Paper(
    "SMS-EMOA: Multiobjective Selection Based on Dominated Hypervolume",
    appeared="European Journal of Operational Research 181, 2007",
)


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
            age_moea2_class(len(objectives))

    def begin(self, breeding: Breeding) -> None:
        """Set pymoo up for this space."""
        self._breeding = breeding
        space, objectives = breeding.space, len(breeding.objectives)
        self._pymoo = made(self.name, objectives, breeding.population)
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
        with pymoo_warnings_fenced():
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
        return Parents(known.ids, genomes, known.objectives, known.violation, known.crowding, known.noise)

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

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; what was measured block by block comes from the history."""
        space, objectives = self._given.space, len(self._given.objectives)
        measured = Measured(
            np.array(state["ids"], dtype=np.int64),
            np.array([read_genome(plain) for plain in state["genomes"]], dtype=np.int64).reshape(-1, len(space)),
            np.array(state["objectives"], dtype=np.float64).reshape(-1, objectives),
            np.array(state["violation"], dtype=np.float64),
        )
        if history.noise is not None:
            order = np.argsort(history.ids)
            rows = order[np.searchsorted(history.ids, measured.ids, sorter=order)]
            measured = replace(measured, noise=history.noise.at(rows))
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


@about("search", ["genomes"], cost="a sort by dominance and crowding per generation", papers=[NSGA2])
def nsga2() -> Algorithm:
    """NSGA-II: dominance, then crowding distance."""
    return MultiObjective("nsga2")


@about("search", ["genomes"], cost="a sort by dominance and reference directions per generation", papers=[NSGA3])
def nsga3() -> Algorithm:
    """NSGA-III: dominance, then reference directions; for three and more objectives."""
    return MultiObjective("nsga3")


@about("search", ["genomes"], cost="a sort by dominance and the front's geometry per generation", papers=[AGE_MOEA2])
def age_moea2() -> Algorithm:
    """AGE-MOEA-II: dominance, then the front's own geometry; needs the extra `age-moea2`."""
    return MultiObjective("age-moea2")


@about("search", ["genomes"], cost="a sort by dominance and hypervolumes per generation", papers=[SMS_EMOA])
def sms_emoa() -> Algorithm:
    """SMS-EMOA: dominance, then each member's share of the hypervolume."""
    return MultiObjective("sms-emoa")


@about("search", ["genomes"], cost="a sample per generation")
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
