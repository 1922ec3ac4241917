"""pymoo's NSGA-II over what a network keeps: whole numbers for widths, bits for units, as its manual has them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import BinaryRandomSampling, IntegerRandomSampling
from shared.divided import Answers, Judge

from emoprune.problems.networks.coupling.structure import Kept
from emoprune.space import IntArray

__all__ = ["batches"]


def batches(judge: Judge, seed: int, population: int, evaluations: int, answers: Answers) -> Iterator[list[Kept]]:
    """Yield what it asks for, batch by batch; each batch's values must be in `answers` before the next is taken."""
    levels = judge.whole.space.levels
    problem = Problem(n_var=len(levels), n_obj=2, xl=np.zeros(len(levels)), xu=levels - 1, vtype=int)
    operators = _bits() if judge.genes == "units" else _numbers()
    algorithm = NSGA2(pop_size=population, eliminate_duplicates=True, **operators)
    algorithm.setup(problem, termination=NoTermination(), seed=seed)
    asked = 0
    while asked < evaluations:
        infills = algorithm.ask()
        wanted = infills.get("X").astype(np.int64)
        asked += len(wanted)
        yield [judge.whole.kept(own) for own in _with_units(judge, wanted)]
        infills.set("F", answers[-1])
        algorithm.tell(infills=infills)


def _numbers() -> dict[str, object]:
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    }


def _bits() -> dict[str, object]:
    return {"sampling": BinaryRandomSampling(), "crossover": TwoPointCrossover(), "mutation": BitflipMutation()}


def _with_units(judge: Judge, genomes: IntArray) -> IntArray:
    """Turn on one unit of each group that would be left without any."""
    made = genomes.copy()
    for group in judge.whole.space.groups:
        places = list(group.genes)
        made[~made[:, places].any(axis=1), places[0]] = 1
    return made
