"""Searches over a prompt's tokens at equal budget: NSGA-II after deletion in runs, that alone, and its peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from shared.prompted import Counted

from emoprune.contracts.algorithm import Algorithm
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.plugins import build
from emoprune.problems.prompts.references.accepting import RUNS, accepting
from emoprune.problems.prompts.references.contract import Worth
from emoprune.problems.prompts.references.ranked import SHARES
from emoprune.space import IntArray
from engines.ours import default_operators

__all__ = ["SEARCHES"]

BEFOREHAND = 0.5  # of the budget that may be spent before a search
Search = Callable[[Counted, int], None]  # until Spent, or until there is nothing more to ask


def _nsga2(counted: Counted, seed: int) -> None:
    """As the example config searches: deletion in runs, with up to half of the budget, then NSGA-II from it, too."""
    problem = counted.problem
    accepted = accepting(_worth(counted), problem.space, runs=RUNS, most=int(BEFOREHAND * counted.budget))
    halts = [accepted.genome, *accepted.halts(problem.space, SHARES).values()]
    references = [reference.genome for reference in problem.references()]
    operators = replace(
        default_operators(),
        sampling=build("sampling", "deletion", {"least": 0.05, "most": 0.9, "steps": 18}),
    )
    evolution = _evolution(counted, build("algorithm", "nsga2", {}), operators, seed, 20)
    _asked(counted, evolution, np.stack([*references, *problem.canonical(np.stack(halts))]))


def _promptquine(counted: Counted, seed: int) -> None:
    """With the published numbers: population 30, 50 children, tournaments of 20 %, beginnings of 5 to 20 % deleted."""
    operators = replace(
        default_operators(), sampling=build("sampling", "deletion", {}), mutation=build("mutation", "deletion", {})
    )
    operators = replace(operators, seeding=build("seeding", "plain", {}))
    algorithm = build("algorithm", "promptquine", {"objective": "accuracy"})
    _asked(counted, _evolution(counted, algorithm, operators, seed, 30), counted.problem.space.full[np.newaxis])


def _evolution(counted: Counted, algorithm: Algorithm, operators: Operators, seed: int, population: int) -> Evolution:
    problem, rng = counted.problem, np.random.default_rng(seed)
    known = replace(operators, canonical=problem)
    objectives = problem.objectives
    return Evolution("ours", algorithm, problem.space, known, rng, objectives=objectives, population=population)


def _asked(counted: Counted, evolution: Evolution, start: IntArray) -> None:
    offspring = evolution.begin(start, ["start"] * len(start))
    while len(offspring):
        values = counted.minimised(offspring.genomes)
        evolution.tell(np.arange(len(offspring)), values, np.zeros(len(offspring)))
        offspring = evolution.ask()


def _in_runs(counted: Counted, seed: int) -> None:  # noqa: ARG001  # it draws nothing
    """Of eighths of the prompt first, then of runs half as long, until a pass of single tokens changes nothing."""
    accepting(_worth(counted), counted.problem.space, runs=RUNS)


def _threshold_accepting(counted: Counted, seed: int) -> None:  # noqa: ARG001  # it draws nothing
    """From left to right, at 0.96, until a pass changes nothing."""
    counted.ended = accepting(_worth(counted), counted.problem.space, most=counted.budget).genome


def _worth(counted: Counted) -> Worth:
    return lambda genome, _: float(counted.accuracies(genome[np.newaxis])[0])


SEARCHES: Mapping[str, Search] = MappingProxyType(
    {
        "emoprune": _nsga2,
        "deletion in runs alone": _in_runs,
        "PromptQuine": _promptquine,
        "TAPruning": _threshold_accepting,
    }
)
