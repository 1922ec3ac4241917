"""What happens once, in this order: refusals, preparation, the manifest, seeds and references, the reference point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.config import Config, SearchSettings
from emoprune.contracts import (
    Checking,
    Objective,
    Prepared,
    Problem,
    Reference,
    Trying,
    as_minimised,
    own_constraints_of,
)
from emoprune.contracts.stages import Staged
from emoprune.contracts.surveys import Starting, Surveying
from emoprune.errors import ConfigError, ContractError, EmopruneError
from emoprune.evolution.ask_tell import Offspring
from emoprune.front import reference_point
from emoprune.loop.build import build_algorithm
from emoprune.loop.checks import check_members, check_problem, check_references, check_unchanged, facts_of
from emoprune.records import Evaluation, table
from emoprune.run import Run, find_run
from emoprune.run.beginning import check_free
from emoprune.run.recorder import Recorder
from emoprune.space import IntArray

__all__ = [
    "check_early",
    "describe_in_manifest",
    "fixed_point",
    "former_fronts",
    "kept_fronts",
    "name_references",
    "prepare",
    "seeds_and_origins",
    "sign_in_manifest",
    "surveyed",
]


def check_early(config: Config, problem: Problem, runs: Path, name: str | None) -> None:
    """Refuse, before any worker is started and any folder made, what can be known to fail.

    Raises:
        TrustError, ConfigError: The name cannot be used, the algorithm or a former run does not fit the problem, or the
            problem finds that it cannot be searched.
        ContractError: The problem lacks a member, or what it says of itself cannot be.
        RunNotFound: There is no run to start from.
    """
    check_free(name, runs)
    formers = [Run(find_run(former, runs)) for former in config.search.warm_start]
    check_members(problem)
    if isinstance(problem, Checking):
        problem.check()
    if isinstance(problem, Prepared | Staged):  # it may know what it is only later
        objectives = getattr(problem, "objectives", None)
        if objectives is not None:
            build_algorithm(config.search).check(objectives)
        return
    check_problem(problem)
    build_algorithm(config.search).check(problem.objectives)
    for former in formers:
        _check_space_of(former, problem)


def sign_in_manifest(recorder: Recorder, session: Mapping[str, Any]) -> None:
    """Write down who works on the run from now on."""
    recorder.update_manifest(sessions=[*recorder.run.manifest["sessions"], session])


def prepare(problem: Problem, recorder: Recorder, seed: int) -> None:
    """Try the problem's unpruned thing if nothing was measured yet, and let it make what it needs once.

    Raises:
        ConfigError: It is not the problem that was described when the run was begun, or its unpruned thing scores like
            guessing.
    """
    folder = recorder.path / "problem"
    folder.mkdir(exist_ok=True)
    begun = "genes" in recorder.run.manifest  # else its stages, if it has some, may still have to say what they are
    if isinstance(problem, Trying) and not begun:
        problem.try_unpruned(folder, seed)
    if isinstance(problem, Prepared):
        problem.prepare(folder, seed)
    if begun:
        check_unchanged(problem, recorder.run)


def describe_in_manifest(problem: Problem, recorder: Recorder) -> None:
    """Check that the problem keeps its promise, and write down what the readers need to know of it.

    Raises:
        ContractError: It lacks a member, or what it says of itself cannot be.
        ConfigError: The problem is not the one that the run was begun with.
    """
    check_problem(problem)
    check_unchanged(problem, recorder.run)
    recorder.update_manifest(**facts_of(problem, recorder.run))


def kept_fronts(settings: SearchSettings, problem: Problem, recorder: Recorder) -> dict[str, list[IntArray]]:
    """Return the fronts that the search starts from as they were when it began, whatever became of those runs since.

    Raises:
        RunNotFound, ConfigError: As in `former_fronts`, the first time.
    """
    known = recorder.kept_starts()
    if known is None:
        fronts = former_fronts(settings, problem, recorder.path.parent) if settings.warm_start else {}
        known = {name: [genome.tolist() for genome in genomes] for name, genomes in fronts.items()}
        if known:
            recorder.keep_starts(known)
    return {name: list(problem.space.as_genomes(genomes)) for name, genomes in known.items() if genomes}


def former_fronts(settings: SearchSettings, problem: Problem, runs: Path) -> dict[str, list[IntArray]]:
    """Return the genomes of the fronts that the search starts from, as they are now.

    Raises:
        RunNotFound: There is no such run.
        ConfigError: It searched another space.
    """
    return {name: _front_of(Run(find_run(name, runs)), problem) for name in settings.warm_start}


def _front_of(former: Run, problem: Problem) -> list[IntArray]:
    _check_space_of(former, problem)
    fronts = former.generations["front"]
    wanted = set(fronts.iloc[-1]) if len(fronts) else set()
    return [each.candidate.genome for each in former.all_evaluations() if each.candidate.id in wanted]


def _check_space_of(former: Run, problem: Problem) -> None:
    """Refuse to start from a run of another space.

    Raises:
        ConfigError: Its genes are not the problem's.
    """
    if former.manifest.get("genes") != [asdict(gene) for gene in problem.space.genes]:
        raise ConfigError(f"search.warm_start: run {former.name} searched another space; its front does not fit")


def seeds_and_origins(problem: Problem, fronts: Mapping[str, Sequence[IntArray]]) -> tuple[IntArray, list[str]]:
    """Return the genomes that generation 0 is built around, shape (n, genes), and where each comes from.

    Args:
        problem: Ready to be searched.
        fronts: The genomes of each former run's front.
    """
    references = problem.references()
    seeds = [reference.genome for reference in references]
    origins = [f"reference:{reference.name}" for reference in references]
    if isinstance(problem, Starting):
        starts = problem.space.as_genomes(problem.starts())
        seeds += list(starts)
        origins += ["start"] * len(starts)
    for name, genomes in fronts.items():
        seeds += genomes
        origins += [f"warm-start:{name}"] * len(genomes)
    return np.array(seeds, dtype=np.int64), origins


def name_references(
    problem: Problem, references: Sequence[Reference], offspring: Offspring, recorder: Recorder
) -> None:
    """Tell the readers which candidates are references; equal ones share a candidate and the first one's name."""
    ids = dict(zip(problem.space.keys(offspring.genomes), offspring.ids.tolist(), strict=True))
    named: dict[int, str] = {}
    for reference in references:
        named.setdefault(ids[problem.space.key(reference.genome)], reference.name)
    recorder.update_manifest(references=[{"candidate": number, "name": name} for number, name in named.items()])


def surveyed(problem: Problem, evaluations: Sequence[Evaluation]) -> list[Reference]:
    """Return the references that the problem picks from what generation 0 measured, checked; none from most problems.

    Raises:
        ContractError: The problem cannot pick any, or what it picks cannot be.
    """
    if not isinstance(problem, Surveying):
        return []
    measured = sorted(evaluations, key=lambda each: each.candidate.id)
    names = [objective.name for objective in problem.objectives]
    names += [constraint.name for constraint in own_constraints_of(problem)]
    genomes = np.stack([each.candidate.genome for each in measured])
    try:
        picked = list(problem.surveyed(genomes, table(measured, names)))
    except EmopruneError:
        raise
    except Exception as error:  # a plug-in may raise anything
        raise ContractError(
            f"{type(problem).__name__}.surveyed: expected references, found {type(error).__name__}: {error}"
        ) from error
    check_references(problem, [*problem.references(), *picked])
    return picked


def fixed_point(
    objectives: Sequence[Objective], references: Sequence[Evaluation], first: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the point, to minimise, from which the whole run's hypervolume is measured.

    An objective's own `worst` counts; else the point lies beyond the references, and where these agree beyond the
    `first` generation, shape (n, objectives), to minimise.
    """
    names = [objective.name for objective in objectives]
    measured = as_minimised(table([each for each in references if each.ok], names), objectives)
    point = as_minimised(reference_point(measured, first), objectives)
    stated = [objective.worst for objective in objectives]
    natural = [value if worst is None else worst for worst, value in zip(stated, point.tolist(), strict=True)]
    return as_minimised(np.array(natural, dtype=np.float64), objectives)
