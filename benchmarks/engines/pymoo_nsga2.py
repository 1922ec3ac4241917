"""pymoo's NSGA2 with its own operators for bits: uniform crossover at 0.9, one flipped bit per genome on average."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling
from shared.judging import Judge, Plan
from shared.landscapes import FloatArray

from emoprune.space import IntArray

__all__ = ["run"]


class Asking(Problem):  # type: ignore[misc]  # pymoo ships no types
    """Passes pymoo's questions on."""

    def __init__(self, plan: Plan, judge: Judge) -> None:
        super().__init__(n_var=plan.landscape.genes, n_obj=len(plan.landscape.worst), xl=0, xu=1, vtype=bool)
        self._judge = judge

    def _evaluate(self, genomes: NDArray[np.bool_], out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._judge.scores(genomes)


def run(plan: Plan, judge: Judge, start: IntArray | None = None, *, duplicates: bool = False) -> FloatArray:
    """Search as planned, from `start` or pymoo's own sample; return the last population's objectives.

    Without `duplicates` pymoo's default applies: offspring equal to each other or to a parent are made again.
    """
    algorithm = NSGA2(
        pop_size=plan.population,
        sampling=BinaryRandomSampling() if start is None else start.astype(np.bool_),
        crossover=UniformCrossover(prob=0.9),
        mutation=BitflipMutation(),
        eliminate_duplicates=not duplicates,
    )
    problem = Asking(plan, judge)
    algorithm.setup(problem, termination=NoTermination(), seed=plan.seed)
    for turn in range(plan.evaluations // plan.population + 1):
        infills = algorithm.ask()
        algorithm.evaluator.eval(problem, infills)
        algorithm.tell(infills=infills)
        if turn == 0:
            judge.begin()
    return np.asarray(algorithm.pop.get("F"), dtype=np.float64)
