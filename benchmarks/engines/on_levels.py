"""Searches over ordered levels: emoprune's, pymoo's and Optuna's as they come, random levels, references alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from shared.asking import Asked, Network

from emoprune.evolution.ask_tell import Evolution
from emoprune.plugins import build
from emoprune.space import IntArray
from engines.ours import default_operators

__all__ = ["SEARCHES"]

POPULATION = 40

Search = Callable[[Network, Asked, int], None]  # until BudgetSpent, or until it has nothing more to ask


def _emoprune(network: Network, asked: Asked, seed: int) -> None:
    """With all references in generation 0."""
    references = [reference.genome for reference in network.problem.references()]
    _evolve(network, asked, seed, np.stack(references))


def _without_references(network: Network, asked: Asked, seed: int) -> None:
    """With the unpruned network alone in generation 0."""
    _evolve(network, asked, seed, network.problem.space.full[np.newaxis])


def _surrogate(network: Network, asked: Asked, seed: int) -> None:
    """With all references in generation 0, and children screened by models of what was measured."""
    references = [reference.genome for reference in network.problem.references()]
    _evolve(network, asked, seed, np.stack(references), "surrogate")


def _evolve(network: Network, asked: Asked, seed: int, start: IntArray, algorithm: str = "nsga2") -> None:
    operators = replace(default_operators(), crossover=build("crossover", "one-point", {}))
    rng = np.random.default_rng(seed)
    evolution = Evolution(
        algorithm,
        build("algorithm", algorithm, {}),
        network.problem.space,
        operators,
        rng,
        objectives=network.problem.objectives,
        population=POPULATION,
    )
    offspring = evolution.begin(start, ["start"] * len(start))
    while len(offspring):
        found = asked.scores(offspring.genomes)
        evolution.tell(np.arange(len(offspring)), found, np.zeros(len(offspring)))
        offspring = evolution.ask()


class _Asking(Problem):  # type: ignore[misc]  # pymoo ships no types
    """Passes pymoo's questions on."""

    def __init__(self, network: Network, asked: Asked) -> None:
        levels = network.problem.space.levels
        super().__init__(n_var=len(levels), n_obj=2, xl=np.zeros(len(levels)), xu=levels - 1, vtype=int)
        self._asked = asked

    def _evaluate(self, genomes: NDArray[np.int64], out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._asked.scores(genomes)


def _pymoo(network: Network, asked: Asked, seed: int) -> None:
    """With the operators that its manual gives for whole numbers, from random genomes."""
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    problem = _Asking(network, asked)
    algorithm.setup(problem, termination=NoTermination(), seed=seed)
    while True:
        infills = algorithm.ask()
        algorithm.evaluator.eval(problem, infills)
        algorithm.tell(infills=infills)


def _optuna(network: Network, asked: Asked, seed: int) -> None:
    """NSGAIISampler as it comes, trial by trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    levels = network.problem.space.levels.tolist()
    while True:
        trial = study.ask()
        genome = np.array([trial.suggest_int(f"gene{i}", 0, level - 1) for i, level in enumerate(levels)])
        study.tell(trial, asked.scores([genome])[0].tolist())


def _random(network: Network, asked: Asked, seed: int) -> None:
    """Even draws of every level."""
    rng = np.random.default_rng(seed)
    levels = network.problem.space.levels
    while True:
        asked.scores(rng.integers(0, levels, (POPULATION, len(levels))))


def _references(network: Network, asked: Asked, seed: int) -> None:  # noqa: ARG001  # nothing is drawn
    """What stands in generation 0, and no search."""
    asked.scores([reference.genome for reference in network.problem.references()])


def _sensitivity(network: Network, asked: Asked, seed: int) -> None:  # noqa: ARG001  # nothing is drawn
    """Every group at every level with all others full, then one threshold after the other for all groups at once."""
    space = network.problem.space
    alone = np.tile(space.full, (int((space.levels - 1).sum()), 1))
    places = [(gene, level) for gene, levels in enumerate(space.levels.tolist()) for level in range(levels - 1)]
    for row, (gene, level) in enumerate(places):
        alone[row, gene] = level
    errors = asked.scores(alone)[:, 0]
    for threshold in np.unique(errors):
        genome = space.full.copy()
        for gene in range(len(genome)):
            fitting = [level for row, (own, level) in enumerate(places) if own == gene and errors[row] <= threshold]
            genome[gene] = min([*fitting, genome[gene]])
        asked.scores(genome[np.newaxis])


SEARCHES: Mapping[str, Search] = MappingProxyType(
    {
        "emoprune": _emoprune,
        "emoprune without references": _without_references,
        "emoprune, surrogate": _surrogate,
        "pymoo NSGA2": _pymoo,
        "Optuna NSGAIISampler": _optuna,
        "random levels": _random,
        "sensitivity search": _sensitivity,
        "references alone": _references,
    }
)
