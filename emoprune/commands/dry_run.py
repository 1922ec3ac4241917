"""What a search would do: everything is built and one genome is measured, but no run is made and no worker gets it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.config import Config, EvaluationSettings, SearchSettings, resolved, stage_settings
from emoprune.contracts import Prepared, Problem, Trying, blocks_of, constraints_of
from emoprune.contracts.stages import Stage, Staged
from emoprune.errors import EvaluationsFailed
from emoprune.evaluation.serial import Serial
from emoprune.evaluation.tickets import Ticket, measure
from emoprune.loop.build import build_backend, build_operators, build_problem
from emoprune.loop.checks import check_problem
from emoprune.loop.start import check_early, former_fronts, seeds_and_origins
from emoprune.plugins import importable_from
from emoprune.records import Candidate, Split, Status, seed_for
from emoprune.space import IntArray, Space

__all__ = ["dry_run"]


def dry_run(config: Config, runs: Path = Path("runs"), name: str | None = None) -> dict[str, Any]:
    """Return the plan of a search as plain data: what is pruned, how large the space is, what it will take.

    The problem is prepared in a folder that is removed again, set up in this process, and the unpruned genome is
    measured once on the search split; the time is estimated from that. Ray is asked if it has room for the workers,
    and let go of again.

    Raises:
        TrustError, ConfigError, RunNotFound, ResourcesUnavailable: What the search would be refused for.
        WorkersLost: The problem cannot be set up.
        EvaluationsFailed: The unpruned genome cannot be measured.
    """
    with importable_from(*config.origin.folders), tempfile.TemporaryDirectory(prefix="emoprune-") as folder:
        problem = build_problem(config)
        check_early(config, problem, runs, name)
        workers = _workers_to_be_had(config.evaluation)
        if isinstance(problem, Trying):
            problem.try_unpruned(Path(folder), config.search.seed)
        if isinstance(problem, Prepared):
            problem.prepare(Path(folder), config.search.seed)
        if isinstance(problem, Staged):
            first = problem.following({}, Path(folder), config.search.seed).stages
            plan: dict[str, Any] = {
                "stages": {each.name: _stage_plan(problem, each, config, workers) for each in first}
            }
        else:
            fronts = former_fronts(config.search, problem, runs)
            plan = _plan(problem, config.search, _seconds_for_unpruned(problem, problem, config, None), workers, fronts)
        return {**plan, "config": resolved(config)}


def _stage_plan(whole: Problem, stage: Stage, config: Config, workers: int) -> dict[str, Any]:
    """Return the plan of one of the stages that come first; what they find decides what comes after them."""
    search = stage_settings(config.search, stage.settings, stage.name)
    seconds = _seconds_for_unpruned(whole, stage.problem, config, stage.name)
    return _plan(stage.problem, search, seconds, workers, {})


def _plan(
    problem: Problem,
    search: SearchSettings,
    seconds: float,
    workers: int,
    fronts: Mapping[str, Sequence[IntArray]],
) -> dict[str, Any]:
    build_operators(search, problem)
    seeds, _ = seeds_and_origins(problem, fronts)
    first = max(search.population, len(set(problem.space.keys(seeds))))
    return {**_what(problem), **_how(search, seconds, workers, first)}


def _seconds_for_unpruned(whole: Problem, problem: Problem, config: Config, stage: str | None) -> float:
    """Set the whole problem up and measure the unpruned genome of what is searched of it, itself or a stage."""
    check_problem(problem)
    Serial(config.evaluation.device, config.evaluation.threads, None, None).start(whole)
    genome = np.array(problem.references()[0].genome, dtype=np.int64)
    key = problem.space.key(genome)
    seed = seed_for(config.search.seed, key, Split.SEARCH)
    known = blocks_of(problem)
    blocks = None if known is None else known.all_of(Split.SEARCH)
    ticket = Ticket(Candidate(0, genome, 0, "reference"), Split.SEARCH, seed, key, stage, blocks)
    begun = time.perf_counter()
    (outcome,) = measure(whole, [ticket])
    if outcome.status is not Status.OK:
        raise EvaluationsFailed(f"the unpruned genome cannot be measured: {outcome.reason}; mend the problem first")
    return time.perf_counter() - begun


def _what(problem: Problem) -> dict[str, Any]:
    objectives = [f"{objective.name} ({objective.direction.value})" for objective in problem.objectives]
    return {
        "objectives": objectives,
        "constraints": [constraint.name for constraint in constraints_of(problem, blocks_of(problem))],
        "references": [reference.name for reference in problem.references()],
        "genes": len(problem.space),
        "groups": len(problem.space.groups),
        "genomes": _size(problem.space),
    }


def _size(space: Space) -> str:
    """Return how many genomes there are at most, as text: it can have thousands of digits."""
    digits = float(np.log10(space.levels[space.free].astype(np.float64)).sum())
    return f"{space.size:,}" if digits < 12 else f"about 10^{digits:.0f}"


def _how(search: SearchSettings, seconds: float, workers: int, first: int) -> dict[str, Any]:
    """Return the course of the search, of which generation 0 has `first` candidates."""
    later = search.generations - 1
    if search.evaluations is not None:  # it ends with the generation in which they are spent
        later = min(later, max(0, -(-(search.evaluations - first) // search.population)))
    evaluations = first + later * search.population
    estimate = evaluations * seconds / workers
    return {
        "algorithm": search.algorithm.name,
        "population": search.population,
        "generations": search.generations,
        "evaluations": evaluations,
        "workers": workers,
        "seconds_each": round(seconds, 4),
        "seconds": round(estimate if search.time_limit is None else min(estimate, search.time_limit), 1),
    }


def _workers_to_be_had(settings: EvaluationSettings) -> int:
    backend = build_backend(settings)
    try:
        backend.open()
        return backend.workers
    finally:
        backend.close()
