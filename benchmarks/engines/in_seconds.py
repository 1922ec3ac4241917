"""Searches over a prompt's tokens at equal seconds of one core, each as fast as it can be, and ideas tried on ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared.prompt_seconds import ACCURACY, CROSS_ENTROPY, TOKENS, InSeconds, OutOfTime

from emoprune.contracts import Blocks, Direction, Objective
from emoprune.contracts.algorithm import Algorithm
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.grading import Grading
from emoprune.evolution.variation import Operators
from emoprune.plugins import build
from emoprune.problems.prompts.references.accepting import RUNS, accepting
from emoprune.problems.prompts.references.contract import Worth
from emoprune.problems.prompts.references.ranked import SHARES
from emoprune.records import Candidate, Evaluation, Ran, Split, Status
from emoprune.space import IntArray, Space
from engines.ours import default_operators

__all__ = ["IDEAS", "OURS", "PUBLISHED", "SEARCHES"]

FloatArray = NDArray[np.float64]
Search = Callable[[InSeconds, int], None]
Scores = Callable[[IntArray], tuple[FloatArray, FloatArray]]  # objectives to minimise and violations

BEFOREHAND = 0.5  # of the seconds that may be spent before a search
AFTERWARDS = 0.15  # of the seconds, in which the best by a few rows are measured on all of them
POPULATION = 12
OBJECTIVES = (Objective("accuracy", Direction.MAXIMISE), Objective("tokens"))
OURS, PUBLISHED = "emoprune", "published scoring"


def _worth(account: InSeconds, until: float) -> Worth:
    """Return accuracies, as far as they are needed and until so many seconds are spent."""

    def worth(genome: IntArray, needed: float) -> float | None:
        for grade in account.grades:
            if account.spent >= min(until, account.seconds):
                return None
            rows = account.upto(genome, grade)[:, ACCURACY]
            if (rows.sum() + account.grades[-1] - grade) / account.grades[-1] < needed:
                return None
        return float(rows.mean())

    return worth


def _tapruning(account: InSeconds, seed: int) -> None:  # noqa: ARG001  # it draws nothing
    """From left to right, at 0.96, until a pass changes nothing or the seconds are over; as early as can be told."""
    account.ended = accepting(_worth(account, account.seconds), account.problem.space).genome


def _tapruning_at_once(account: InSeconds, seed: int) -> None:  # noqa: ARG001  # it draws nothing
    """The same, with every prompt put to all rows in one batch, as published."""

    def worth(genome: IntArray, _: float) -> float | None:
        return None if account.spent >= account.seconds else float(account.at_once(genome)[ACCURACY])

    account.ended = accepting(worth, account.problem.space).genome


def _promptquine(account: InSeconds, seed: int) -> None:
    """With the published numbers: population 30, 50 children, tournaments of 20 %, beginnings of 5 to 20 % deleted."""
    operators = replace(
        default_operators(),
        sampling=build("sampling", "deletion", {}),
        mutation=build("mutation", "deletion", {}),
        seeding=build("seeding", "plain", {}),
    )
    evolution = _evolution(account, build("algorithm", "promptquine", {"objective": "accuracy"}), operators, seed, 30)
    _asked(evolution, account.problem.space.full[np.newaxis], _at_once(account))


def _at_once(account: InSeconds) -> Scores:
    def scores(genomes: IntArray) -> tuple[FloatArray, FloatArray]:
        means = np.array([account.at_once(genome) for genome in genomes])
        return np.column_stack([-means[:, ACCURACY], means[:, TOKENS]]), np.zeros(len(genomes))

    return scores


@dataclass(frozen=True)
class Idea:
    """How ours searches after deletion in runs: on what rows, by which signal at low grades, with which variation."""

    grades: bool = True
    signal: int = ACCURACY
    rows: int | None = None  # all searching on so many rows alone
    operators: Callable[[InSeconds], Mapping[str, Any]] = lambda _: {}

    def __call__(self, account: InSeconds, seed: int) -> None:
        """Search until the seconds are over."""
        problem = account.problem
        accepted = accepting(_worth(account, BEFOREHAND * account.seconds), problem.space, runs=RUNS)
        halts = [accepted.genome, *accepted.halts(problem.space, SHARES).values()]
        references = [reference.genome for reference in problem.references()]
        sampling = build("sampling", "deletion", {"least": 0.05, "most": 0.9, "steps": 18})
        operators = replace(default_operators(), sampling=sampling, **self.operators(account))
        evolution = _evolution(account, build("algorithm", "nsga2", {}), operators, seed, POPULATION)
        start = np.stack([*references, *problem.canonical(np.stack(halts))])
        seconds = account.seconds
        if self.rows is not None:
            account.seconds *= 1 - AFTERWARDS
        _asked(evolution, start, self._scores(account))
        account.seconds = seconds
        if self.rows is not None:
            _measured_on_all(account, self.rows)

    def _scores(self, account: InSeconds) -> Scores:
        if self.grades:
            return Graded(account, self.signal)
        count = account.grades[-1] if self.rows is None else self.rows

        def scores(genomes: IntArray) -> tuple[FloatArray, FloatArray]:
            means = np.array([account.upto(genome, count).mean(axis=0) for genome in genomes])
            return np.column_stack([-means[:, ACCURACY], means[:, TOKENS]]), np.zeros(len(genomes))

        return scores


def _measured_on_all(account: InSeconds, rows: int) -> None:
    """Measure the best by the first rows on all rows, the best first, until the seconds are over."""
    means = {key: own[:rows].mean(axis=0) for key, own in account.rows.items() if len(own) >= rows}
    with suppress(OutOfTime):
        for key in sorted(means, key=lambda key: (-means[key][ACCURACY], means[key][TOKENS])):
            account.upto(account.genomes[key], account.grades[-1])


class Graded:
    """Scores a generation grade after grade, as the engine does; the first generation is measured in full."""

    def __init__(self, account: InSeconds, signal: int) -> None:
        self._account, self._signal = account, signal
        sizes = np.ones(account.grades[-1])
        blocks = Blocks(("signal",), account.grades, dict.fromkeys(Split, sizes))
        direction = Direction.MAXIMISE if signal == ACCURACY else Direction.MINIMISE
        self._grading = Grading(blocks, (Objective("signal", direction), Objective("tokens")), (), 0.95)
        self._standing: list[Evaluation] = []
        self._next = 0

    def __call__(self, genomes: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return accuracy to minimise and tokens, and the share of rows that was not measured."""
        grades = self._account.grades if self._standing else self._account.grades[-1:]
        going = dict(enumerate(genomes, start=self._next))
        first, self._next = self._next, self._next + len(genomes)
        found = [np.zeros((0, 3))] * len(genomes)
        for grade in grades:
            measured = []
            for number, genome in going.items():
                found[number - first] = rows = self._account.upto(genome, grade)
                measured.append(_evaluation(number, genome, rows, self._signal))
            if grade == grades[-1]:
                self._standing += measured
            else:
                going = {each.candidate.id: each.candidate.genome
                         for each in self._grading.going_on(measured, self._standing)}  # fmt: skip
        means = np.array([rows.mean(axis=0) for rows in found])
        missing = np.array([1.0 - len(rows) / grades[-1] for rows in found])
        return np.column_stack([-means[:, ACCURACY], means[:, TOKENS]]), missing


def _evaluation(number: int, genome: IntArray, rows: FloatArray, signal: int) -> Evaluation:
    values = {"signal": float(rows[:, signal].mean()), "tokens": float(rows[0, TOKENS])}
    blocks = {"signal": tuple(rows[:, signal].tolist())}
    candidate = Candidate(number, genome, 0, "initial")
    return Evaluation(candidate, Split.SEARCH, Status.OK, values, 0, Ran("here", 0.0), blocks=blocks)


@dataclass(frozen=True, slots=True)
class RunsOff:
    """Turn off a run of up to `most` neighbours in half of the genomes; the others are changed gene by gene."""

    most: int = 8

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones."""
        by_gene: IntArray = build("mutation", "by-kind", {})(space, genomes, rng)
        places = np.arange(len(space))
        start = rng.integers(0, len(space), (len(genomes), 1))
        run = (places >= start) & (places < start + rng.integers(1, self.most, (len(genomes), 1), endpoint=True))
        cut = np.where(run & space.free, 0, genomes)
        return np.where(rng.random((len(genomes), 1)) < 0.5, cut, by_gene)


@dataclass(frozen=True, slots=True)
class ModelOff:
    """Turn off the tokens that a linear model, fitted to all that was measured, finds least important, with noise."""

    account: InSeconds
    most: int = 4

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; half of them are changed gene by gene."""
        by_gene: IntArray = build("mutation", "by-kind", {})(space, genomes, rng)
        importance = self._importance()
        noise = rng.gumbel(0.0, importance.std() + 1e-9, genomes.shape)
        order = np.where((genomes > 0) & space.free, importance + noise, np.inf).argsort(axis=1).argsort(axis=1)
        count = rng.integers(1, self.most, (len(genomes), 1), endpoint=True)
        cut = np.where((order < count) & space.free, 0, genomes)
        return np.where(rng.random((len(genomes), 1)) < 0.5, cut, by_gene)

    def _importance(self) -> FloatArray:
        """Return how much less surprising each token makes the right answers, by ridge regression, shape (genes,)."""
        keys = list(self.account.rows)
        bits = np.stack([self.account.genomes[key] for key in keys]).astype(np.float64)
        losses = np.array([self.account.rows[key][:, CROSS_ENTROPY].mean() for key in keys])
        weights = np.sqrt([len(self.account.rows[key]) for key in keys])[:, None]
        centred = (bits - bits.mean(axis=0)) * weights
        target = (losses - losses.mean()) * weights[:, 0]
        ridge = centred.T @ centred + np.eye(bits.shape[1]) * weights.mean() ** 2
        return np.asarray(-np.linalg.solve(ridge, centred.T @ target))


def _evolution(account: InSeconds, algorithm: Algorithm, operators: Operators, seed: int, population: int) -> Evolution:
    problem, rng = account.problem, np.random.default_rng(seed)
    known = replace(operators, canonical=problem)
    return Evolution("ours", algorithm, problem.space, known, rng, objectives=OBJECTIVES, population=population)


def _asked(evolution: Evolution, start: IntArray, scores: Scores) -> None:
    with suppress(OutOfTime):
        offspring = evolution.begin(start, ["start"] * len(start))
        while len(offspring):
            values, violation = scores(offspring.genomes)
            evolution.tell(np.arange(len(offspring)), values, violation)
            offspring = evolution.ask()


IDEAS: Mapping[str, Search] = MappingProxyType(
    {
        f"{OURS}, all rows": Idea(grades=False),
        f"{OURS}, cross-entropy at low grades": Idea(signal=CROSS_ENTROPY),
        f"{OURS}, 8 rows alone": Idea(grades=False, rows=8),
        f"{OURS}, runs deleted": Idea(operators=lambda _: {"mutation": RunsOff()}),
        f"{OURS}, spans crossed": Idea(operators=lambda _: {"crossover": build("crossover", "two-point", {})}),
        f"{OURS}, a model deletes": Idea(operators=lambda account: {"mutation": ModelOff(account)}),
    }
)
SEARCHES: Mapping[str, Search] = MappingProxyType(
    {
        OURS: Idea(),
        "TAPruning": _tapruning,
        f"TAPruning, {PUBLISHED}": _tapruning_at_once,
        "PromptQuine": _promptquine,
        f"PromptQuine, {PUBLISHED}": _promptquine,
        **IDEAS,
    }
)
