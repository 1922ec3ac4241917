"""Searches of a table's subsets in this process, asked and told as the engine does it, with a clock."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from engines.ours import default_operators

from emoprune.contracts import Failure
from emoprune.evolution.ask_tell import Evolution
from emoprune.front import non_dominated
from emoprune.plugins import build
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.subsets.choosing import Choice, chosen
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Searched", "searched"]

Rows = np.ndarray


@dataclass(eq=False)
class Searched:
    """A prepared problem and what was measured of it: genomes and rows, and the CPU seconds after each generation."""

    problem: SubsetProblem
    prepared: float
    genomes: list[IntArray] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    missing: list[float] = field(default_factory=list)  # folds that a subset that was stopped does not have
    clock: list[tuple[int, float]] = field(default_factory=list)  # evaluations, seconds

    def measured(self, genome: IntArray, split: Split) -> list[float]:
        """Return the metric and the columns of a genome on a split."""
        (row,) = self.problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), split)
        if isinstance(row, Failure):
            raise ValueError(row.reason)
        return list(row)[:2]

    def front(self, evaluations: int | None = None) -> list[IntArray]:
        """Return the front of the first evaluations by what led the search."""
        complete = [place for place, missing in enumerate(self.missing[:evaluations]) if not missing]
        minimised = np.array([self.rows[place] for place in complete], dtype=np.float64) * self.signs
        return [self.genomes[complete[place]] for place in np.flatnonzero(non_dominated(minimised))]

    @property
    def signs(self) -> Rows:
        """What turns rows into ones to minimise."""
        metric = self.problem.task.measures.metric
        return np.array([-1.0 if metric.maximised else 1.0, 1.0])

    def best(self, genomes: list[IntArray], choice: Choice = "best") -> IntArray:
        """Return the one that the transformer would choose of these."""
        names = [objective.name for objective in self.problem.objectives]
        whole = self.problem.references()[0].genome
        rows = np.array([self.measured(genome, Split.SEARCH) for genome in genomes])
        frame = pd.DataFrame(rows, columns=[f"obj.{name}" for name in names]).assign(
            candidate_id=range(len(genomes)),
            knee=0,
            name=["unpruned" if np.array_equal(genome, whole) else "" for genome in genomes],
        )
        evidence = self.problem.evidence(dict(enumerate(genomes)), 0)
        return genomes[chosen(frame, evidence, self.problem.task.measures.signs, choice)]

    def kept(self, genome: IntArray) -> tuple[Term, ...]:
        """Return what a genome keeps."""
        return self.problem.kept(genome)


def searched(problem: SubsetProblem, *, population: int, generations: int, seed: int) -> Searched:
    """Prepare and search one problem with two objectives; only these two are on the clock."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        problem.prepare(Path(folder), seed)
    problem.setup("cpu", 1)
    found = Searched(problem, time.process_time() - begun)
    evolution = Evolution(
        "nsga2",
        build("algorithm", "nsga2", {}),
        problem.space,
        default_operators(problem),
        np.random.default_rng(seed),
        objectives=problem.objectives,
        population=population,
    )
    start = np.stack([reference.genome for reference in problem.references()])
    offspring = evolution.begin(start, ["start"] * len(start))
    signs = found.signs
    for turn in range(generations):
        if turn:
            offspring = evolution.ask()
        order = np.argsort(np.array(problem.space.keys(offspring.genomes)), kind="stable")
        rows = problem.evaluate(offspring.genomes[order], np.zeros(len(order), dtype=np.uint64), Split.SEARCH)
        values, missing = np.empty((len(order), 2)), np.zeros(len(order))
        folds = len(problem.task.parts.folds)
        for place, row in zip(order.tolist(), rows, strict=True):
            if isinstance(row, Failure):
                raise ValueError(row.reason)
            values[place] = row[:2]
            missing[place] = folds - row[2] if len(row) > 2 else 0
        found.genomes += list(offspring.genomes)
        found.rows += values.tolist()
        found.missing += missing.tolist()
        found.clock.append((len(found.rows), time.process_time() - begun))
        evolution.tell(np.arange(len(order)), values * signs, missing)
    return found
