"""emoprune's Evolution with the default operators, asked and told as a search does it."""

from __future__ import annotations

import numpy as np
from shared.judging import Judge, Plan
from shared.landscapes import FloatArray

from emoprune.config import SearchSettings
from emoprune.contracts import Canonical, Objective
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.plugins import build
from emoprune.space import IntArray, Space

__all__ = ["default_operators", "run"]


def default_operators(canonical: Canonical | None = None) -> Operators:
    """Return what a config that says nothing of operators gets, with a problem's canonical form if it has one."""
    settings = SearchSettings()
    return Operators(
        sampling=build("sampling", settings.sampling.name, {}),
        seeding=build("seeding", settings.seeding.name, {}),
        crossover=build("crossover", settings.crossover.name, {}),
        mutation=build("mutation", settings.mutation.name, {}),
        repairs=tuple(build("repair", repair.name, {}) for repair in settings.repair),
        canonical=canonical,
    )


def run(plan: Plan, judge: Judge, start: IntArray | None = None, algorithm: str = "nsga2") -> FloatArray:
    """Search as planned, from `start` or from the unpruned genome; return the last population's objectives."""
    space = Space.bits(plan.landscape.genes)
    evolution = Evolution(
        algorithm,
        build("algorithm", algorithm, {}),
        space,
        default_operators(),
        np.random.default_rng(plan.seed),
        objectives=[Objective(f"objective{number}") for number in range(len(plan.landscape.worst))],
        population=plan.population,
    )
    seeds = space.full[None, :] if start is None else start
    offspring, told = evolution.begin(seeds, ["start"] * len(seeds)), []
    for turn in range(plan.evaluations // plan.population + 1):
        if turn:
            offspring = evolution.ask()
        told.append(judge.scores(offspring.genomes))
        evolution.tell(np.arange(len(offspring)), told[-1], np.zeros(len(offspring)))
        if turn == 0:
            judge.begin()
    return np.asarray(np.concatenate(told)[evolution.population])
