"""What comes out of a search: the front measured again on held-out data, its tables, and exported candidates."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emoprune.archive import Archive
from emoprune.assembly import build_problem, check_unchanged, described
from emoprune.config import Config
from emoprune.contracts import Prepared, Problem
from emoprune.errors import ConfigError, RunNotFound
from emoprune.plugins import importable_from, is_given, nearest
from emoprune.recorder import Recorder
from emoprune.records import Candidate, Evaluation
from emoprune.run import Run
from emoprune.storage import guarded
from emoprune.trust import check_trust

__all__ = ["Results", "chosen", "export"]


class Results:
    """The derived side of one run while it is written."""

    def __init__(self, problem: Problem, recorder: Recorder) -> None:
        self._problem = problem
        self._recorder = recorder
        self._descriptions: dict[int, Mapping[str, Any]] = {}

    def members(self, archive: Archive) -> list[Candidate]:
        """Return the candidates of the front and the references, by id; failed references stay out."""
        wanted = {*archive.front.ids.tolist(), *self._recorder.run.references}
        chosen_ones = [archive.evaluations[number] for number in sorted(wanted) if number in archive.evaluations]
        return [evaluation.candidate for evaluation in chosen_ones if evaluation.ok]

    def members_after_select(self, archive: Archive) -> list[Candidate]:
        """Return the candidates that are on the front by their `select` values, and the references."""
        frame = self._recorder.run.pareto_of(_kept(archive))
        wanted = set(frame.loc[(frame["rank"] == 1) | (frame["name"] != ""), "candidate_id"])
        return [each.candidate for each in _kept(archive) if each.candidate.id in wanted and each.ok]

    def write_tables(self, archive: Archive) -> None:
        """Rebuild pareto.csv, its schema and the descriptions of its rows."""
        frame = self._recorder.run.pareto_of(_kept(archive))
        described = {number: self._described(archive.evaluations[number]) for number in frame["candidate_id"].tolist()}
        self._recorder.write_tables(frame, described)

    def _described(self, evaluation: Evaluation) -> Mapping[str, Any]:
        number = evaluation.candidate.id
        if number not in self._descriptions:
            genome = evaluation.candidate.genome
            self._descriptions[number] = described(self._problem, genome, f"candidate {number}")
        return self._descriptions[number]


def _kept(archive: Archive) -> list[Evaluation]:
    """Return the front, and generation 0 with the references, by candidate: all that a table shows."""
    return sorted(archive.evaluations.values(), key=lambda evaluation: evaluation.candidate.id)


def chosen(run: Run, candidate: str) -> Evaluation:
    """Return the evaluation that a person means by a candidate's number, a reference's name, or `knee`.

    Raises:
        RunNotFound: The run has no such candidate.
    """
    by_id = {evaluation.candidate.id: evaluation for evaluation in run.evaluations()}
    names = {name: number for number, name in run.references.items()}
    if candidate == "knee":
        frame = run.pareto
        names["knee"] = int(frame.loc[frame["knee"] == 1, "candidate_id"].iloc[0]) if frame["knee"].any() else -1
        if names["knee"] < 0:
            raise RunNotFound(f"run {run.name} has no knee: its front is empty")
    number = names.get(candidate, int(candidate) if candidate.isdecimal() else -1)
    if number not in by_id:
        raise RunNotFound(
            f"run {run.name} has no candidate {candidate[:80]!r}{nearest(candidate, list(names))}; expected a number "
            f"below {len(by_id)}, a reference's name, or 'knee'"
        )
    return by_id[number]


def export(
    run: Run, candidate: str, *, problem: Problem | None = None, trust_code: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Write the pruned thing of one candidate into the run's `exports/<id>`; return the folder and what was verified.

    The folder appears only when the problem has verified what it wrote; an older export of the candidate is replaced.

    Raises:
        RunNotFound: The run has no such candidate.
        ContractError: The problem could not export it.
        ConfigError: The run was given its problem as an object, which must be given again, or the problem changed.
        TrustError: The run names code to import and was not made here.
    """
    check_trust(run, trust_code=trust_code)
    evaluation = chosen(run, candidate)
    if problem is None and is_given(run.config["problem"]["name"]):
        raise ConfigError(
            f"run {run.name} was given its problem as an object; export from Python: "
            "emoprune.results.export(run, candidate, problem=...)"
        )
    config = Config.model_validate(run.config)
    with importable_from(*run.code_folders):
        made = build_problem(config) if problem is None else problem
        if isinstance(made, Prepared):
            made.prepare(run.path / "problem", config.search.seed)
        check_unchanged(made, run)
        made.setup("cpu", config.evaluation.threads)
        return _exported(made, run, evaluation.candidate)


def _exported(problem: Problem, run: Run, candidate: Candidate) -> tuple[Path, dict[str, Any]]:
    folder = run.path / "exports" / str(candidate.id)
    partial = folder.with_name(f".{candidate.id}.partial")
    with guarded(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            verified = dict(problem.export(candidate.genome, partial))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return folder, verified
