"""DEAP's NSGA-II as in its own example, for bits, with the faster of its two sorts (`nd="log"`)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from deap import base, creator, tools  # type: ignore[import-untyped]  # DEAP ships no types
from shared.judging import Judge, Plan
from shared.landscapes import FloatArray

from emoprune.space import IntArray

__all__ = ["run"]

CROSSED = 0.9  # share of the pairs


def run(plan: Plan, judge: Judge, start: IntArray | None = None) -> FloatArray:
    """Search as planned, from `start` or fair bits; return the last population's objectives.

    The population must be divisible by four, or DEAP's tournament refuses it.
    """
    random.seed(plan.seed)
    shape = (plan.population, plan.landscape.genes)
    first = np.random.default_rng(plan.seed).integers(0, 2, shape) if start is None else start
    kind = _kind(len(plan.landscape.worst))
    population = [kind(bits) for bits in first.tolist()]
    _evaluate(population, judge)
    population = tools.selNSGA2(population, plan.population, nd="log")
    judge.begin()
    for _ in range(plan.evaluations // plan.population):
        offspring = _offspring(population, plan.landscape.genes)
        _evaluate(offspring, judge)
        population = tools.selNSGA2(population + offspring, plan.population, nd="log")
    return np.array([genome.fitness.values for genome in population])


def _kind(objectives: int) -> Any:
    """Return DEAP's class of genomes with so many objectives to minimise; DEAP keeps such classes in a module."""
    name = f"Genome{objectives}"
    if not hasattr(creator, name):
        creator.create(f"Fitness{objectives}", base.Fitness, weights=(-1.0,) * objectives)
        creator.create(name, list, fitness=getattr(creator, f"Fitness{objectives}"))
    return getattr(creator, name)


def _offspring(population: list[Any], genes: int) -> list[Any]:
    toolbox = base.Toolbox()
    offspring = [toolbox.clone(genome) for genome in tools.selTournamentDCD(population, len(population))]
    for one, other in zip(offspring[::2], offspring[1::2], strict=True):
        if random.random() <= CROSSED:  # noqa: S311  # DEAP draws from this generator too
            tools.cxUniform(one, other, indpb=0.5)
        tools.mutFlipBit(one, indpb=1 / genes)
        tools.mutFlipBit(other, indpb=1 / genes)
    return offspring


def _evaluate(genomes: list[Any], judge: Judge) -> None:
    for genome, values in zip(genomes, judge.scores(genomes).tolist(), strict=True):
        genome.fitness.values = values
