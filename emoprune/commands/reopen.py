"""A run's problem made again after the search, for work on single candidates: export, audit, recovery.

The run is read without its lock, so all of this works while it is still being written; it then sees the front so far.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from emoprune.config import Config, recorded
from emoprune.contracts import Choosing, Prepared, Problem
from emoprune.errors import ConfigError, RunNotFound
from emoprune.loop.build import build_problem
from emoprune.loop.checks import check_unchanged
from emoprune.loop.earlier import config_of
from emoprune.loop.trust import trusted
from emoprune.plugins import importable_from, is_given, nearest
from emoprune.records import Evaluation
from emoprune.run import Run
from emoprune.run.links import refuse_links

__all__ = ["best_of", "chosen", "ready", "reopened", "seed_of"]

_log = logging.getLogger(__name__)

MARKED = ("knee", "best")  # columns of pareto.csv that mark one candidate
WITHOUT_EVIDENCE = (
    "its scores have no standard errors, so nothing is shown; expected a number, a reference's name, or 'knee'"
)


def chosen(run: Run, candidate: str) -> Evaluation:
    """Return the evaluation that a person means by a candidate's number, a reference's name, `knee` or `best`.

    Raises:
        RunNotFound: The run has no such candidate.
        RunCorrupt: What it evaluated is not what it was.
    """
    by_id = {evaluation.candidate.id: evaluation for evaluation in run.all_evaluations()}
    run.remeasured([*by_id.values()])
    names = {name: number for number, name in run.references.items()}
    if candidate in MARKED:
        names[candidate] = _marked(run, candidate)
    number = names.get(candidate, int(candidate) if candidate.isdecimal() else -1)
    if number not in by_id:
        raise RunNotFound(
            f"run {run.name} has no candidate {candidate[:80]!r}{nearest(candidate, list(names))}; expected a number "
            f"below {len(by_id)}, a reference's name, 'knee' or 'best'"
        )
    return by_id[number]


def _marked(run: Run, column: str) -> int:
    """Return the number of the candidate that a column of the run's table marks."""
    frame = run.pareto
    if column in frame and frame[column].any():
        return int(frame.loc[frame[column] == 1, "candidate_id"].iloc[0])
    if column == "best" and run.blocks is None:
        why = WITHOUT_EVIDENCE
    else:
        why = "its front is empty" if column == "knee" else "its front was not measured on select yet"
    raise RunNotFound(f"run {run.name} has no {column}: {why}")


def best_of(problem: Problem, run: Run) -> Evaluation:
    """Return the evaluation of the candidate that a problem, which is set up, finds to be the best by its own evidence.

    Raises:
        RunNotFound: It offers none.
    """
    if not isinstance(problem, Choosing):
        raise RunNotFound(f"run {run.name} has no best: {WITHOUT_EVIDENCE}")
    frame = run.pareto
    by_id = {evaluation.candidate.id: evaluation for evaluation in run.all_evaluations()}
    genomes = {number: by_id[number].candidate.genome for number in frame["candidate_id"].tolist()}
    _log.info("looking for evidence on %d candidates", len(genomes))
    return by_id[problem.best(frame, genomes, seed_of(run))]


@contextmanager
def reopened(run: Run, problem: Problem | None, *, call: str, trust_code: bool) -> Iterator[Problem]:
    """Give the run's problem, or the one handed over, with the run's code importable; not prepared and not set up.

    Args:
        run: Whose problem.
        problem: The object that a run was given as its problem, or None.
        call: How to do the same from Python, as in `emoprune.commands.export.export(run, candidate, problem=...)`.
        trust_code: Whether code may be imported though the run is not known to be this user's.

    Raises:
        TrustError: The run names code to import and is not known to be this user's.
        ConfigError: The run was given its problem as an object, which must be given again, or is a stage of another.
    """
    refuse_links(run.path)
    run.check_whole("export from")
    folders = run.code_folders if trusted(run, trust_code=trust_code) else []
    if problem is None and is_given(run.config["problem"]["name"]):
        work = call.partition("(")[0].rpartition(".")[2]
        raise ConfigError(f"run {run.name} was given its problem as an object; {work} from Python: {call}")
    config = _config_of(run)
    with importable_from(*folders):
        yield build_problem(config) if problem is None else problem


def ready(problem: Problem, run: Run, device: str) -> None:
    """Prepare the problem as the run did, check that it is still the run's, and set it up on `device`.

    Raises:
        ConfigError: The problem changed since the run was begun.
    """
    config = _config_of(run)
    if isinstance(problem, Prepared):
        problem.prepare(run.path / "problem", config.search.seed)
    check_unchanged(problem, run)
    problem.setup(device, config.evaluation.threads)


def seed_of(run: Run) -> int:
    """Return the run's seed."""
    return _config_of(run).search.seed


def _config_of(run: Run) -> Config:
    """Return the run's config as it is in force."""
    return recorded(Config, config_of(run), run.path)
