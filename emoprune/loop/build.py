"""From a config to the live parts of a search: the problem, the operators, the algorithm, the backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emoprune import plugins
from emoprune.config import Config, EvaluationSettings, Plugin, SearchSettings
from emoprune.contracts import Blocks, Canonical, Constraint, Problem
from emoprune.contracts.algorithm import Algorithm
from emoprune.errors import ConfigError, EmopruneError
from emoprune.evaluation.backends import Backend
from emoprune.evaluation.serial import Serial
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.grading import Grading
from emoprune.evolution.variation import Operators

__all__ = ["build_algorithm", "build_backend", "build_evolution", "build_operators", "build_problem", "grading_of"]


def build_problem(config: Config) -> Problem:
    """Return the config's problem, not prepared and not set up.

    Raises:
        ConfigError: There is no such problem, or it does not take these options.
    """
    problem: Problem = _build("problem", config.problem)
    return problem


def _build(kind: str, plugin: Plugin) -> Any:
    try:
        return plugins.build(kind, plugin.name, plugin.options)
    except EmopruneError:
        raise
    except ValueError as error:
        raise ConfigError(f"{kind} {plugin.name!r} cannot be made from its options: {error}") from error


def build_operators(settings: SearchSettings, problem: Problem) -> Operators:
    """Return the operators that the config names, with the problem's canonical form."""
    return Operators(
        sampling=_build("sampling", settings.sampling),
        seeding=_build("seeding", settings.seeding),
        crossover=_build("crossover", settings.crossover),
        mutation=_build("mutation", settings.mutation),
        repairs=tuple(_build("repair", repair) for repair in settings.repair),
        canonical=problem if isinstance(problem, Canonical) else None,
    )


def build_algorithm(settings: SearchSettings) -> Algorithm:
    """Return the algorithm that the config names, not begun."""
    algorithm: Algorithm = _build("algorithm", settings.algorithm)
    return algorithm


def build_evolution(settings: SearchSettings, problem: Problem) -> Evolution:
    """Return the config's algorithm at work on the problem's space, with the config's operators and seed.

    Raises:
        ConfigError: The algorithm cannot work with these objectives, or needs an extra that is missing.
    """
    return Evolution(
        settings.algorithm.name,
        build_algorithm(settings),
        problem.space,
        build_operators(settings, problem),
        np.random.default_rng(settings.seed),
        objectives=tuple(problem.objectives),
        population=settings.population,
    )


def grading_of(
    settings: SearchSettings, problem: Problem, blocks: Blocks | None, constraints: Sequence[Constraint]
) -> Grading | None:
    """Return what decides who is measured further; None if everything is measured in full."""
    if blocks is None or settings.grades == "none" or len(blocks.grades) == 1:
        return None
    return Grading(blocks, problem.objectives, constraints, settings.confidence)


def build_backend(settings: EvaluationSettings, beside: Sequence[Path] = ()) -> Backend:
    """Return the backend that the config names, not opened; ray is imported only if it is asked for.

    Args:
        settings: Of the config.
        beside: Folders in which import targets may lie.
    """
    workers = None if settings.workers == "auto" else settings.workers
    chunk = None if settings.chunk == "auto" else settings.chunk
    if settings.backend == "serial":
        return Serial(settings.device, settings.threads, settings.time_limit, chunk)
    from emoprune.cluster import RayActors, Share

    return RayActors(
        workers=workers,
        address=settings.address,
        share=Share(
            settings.cpus_per_worker,
            settings.gpus_per_worker,
            settings.memory_per_worker,
            settings.resources_per_worker,
            settings.node_labels,
        ),
        runtime_env=settings.runtime_env,
        device=settings.device,
        threads=settings.threads,
        time_limit=settings.time_limit,
        start_limit=settings.start_limit,
        retries=settings.retries,
        chunk=chunk,
        beside=beside,
    )
