"""The pruned things of candidates, written and verified: of one, or of the whole front."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emoprune.commands.exported import Exported, check_formats, formats_to_write
from emoprune.commands.reopen import best_of, chosen, ready, reopened
from emoprune.contracts import Exporting, Problem
from emoprune.errors import RunCorrupt, RunNotFound
from emoprune.records import Candidate
from emoprune.run import Run
from emoprune.run.locks import alone, whole

__all__ = ["export", "export_front"]

_log = logging.getLogger(__name__)


def export(
    run: Run,
    candidate: str,
    *,
    formats: Sequence[str] = (),
    verify: bool = True,
    problem: Problem | None = None,
    trust_code: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Write the pruned thing of one candidate into the run's `exports/<id>`; return the folder and what was verified.

    The folder appears only when the problem has verified what it wrote. Formats of an older export of the candidate are
    written again beside the new ones; a warning says so where the problem cannot write them into one folder.

    Args:
        run: Whose candidate; it is only read, so this works while it is still being written.
        candidate: Its number, a reference's name, `knee` or `best`.
        formats: Some of the problem's formats, in any order; none for the problem's own choice.
        verify: Whether what was written is loaded again and compared.
        problem: The object that the run was given as its problem.
        trust_code: Import the code that a run names though it is not known to be this user's.

    Raises:
        RunNotFound: The run has no such candidate.
        ContractError: The problem could not export it.
        ConfigError: The run was given its problem as an object, which must be given again, the problem changed, or it
            does not write such a format.
        RunLocked: Another process exports this candidate.
        TrustError: The run names code to import and is not known to be this user's.
    """
    picked = None if candidate == "best" and run.blocks is None else chosen(run, candidate).candidate
    call = "emoprune.commands.export.export(run, candidate, problem=...)"
    with reopened(run, problem, call=call, trust_code=trust_code) as made:
        check_formats(made, formats, verify=verify)
        by_evidence = picked is None
        if picked is None:
            ready(made, run, "cpu")
            picked = best_of(made, run).candidate
        with alone(run.path, f"export-{picked.id}"):
            if not by_evidence:
                ready(made, run, "cpu")
            return _written(run, made, picked, formats, verify=verify)


def export_front(
    run: Run,
    *,
    formats: Sequence[str] = (),
    verify: bool = True,
    problem: Problem | None = None,
    trust_code: bool = False,
) -> dict[int, tuple[Path, dict[str, Any]]]:
    """Write every member of the front as `export` writes one; return folder and what was verified by candidate.

    The problem is set up once. What was written stays where a later candidate fails.

    Raises:
        RunNotFound: There is no front yet.
        ContractError: The problem could not export one of them.
        ConfigError: As `export`.
        RunLocked: Another process exports one of them.
        TrustError: As `export`.
    """
    frame = run.pareto
    numbers = frame.loc[frame["rank"].eq(1).fillna(value=False), "candidate_id"].tolist()
    if not numbers:
        raise RunNotFound(f"run {run.name} has no front to export yet; let it search on")
    members = [chosen(run, str(numbers[0])).candidate]  # which checks the run's files
    by_id = {each.candidate.id: each.candidate for each in run.evaluations()}
    members += [by_id[number] for number in numbers[1:]]
    call = "emoprune.commands.export.export_front(run, problem=...)"
    found: dict[int, tuple[Path, dict[str, Any]]] = {}
    with reopened(run, problem, call=call, trust_code=trust_code) as made:
        check_formats(made, formats, verify=verify)
        ready(made, run, "cpu")
        for place, member in enumerate(members, start=1):
            with alone(run.path, f"export-{member.id}"):
                found[member.id] = _written(run, made, member, formats, verify=verify)
            _log.info("exported candidate %d, %d of %d", member.id, place, len(members))
    return found


def _written(
    run: Run, made: Problem, picked: Candidate, formats: Sequence[str], *, verify: bool
) -> tuple[Path, dict[str, Any]]:
    """Write one candidate by a problem that is set up."""
    folder = run.path / "exports" / str(picked.id)
    if not isinstance(made, Exporting):
        with whole(folder) as partial:
            return folder, dict(made.export(picked.genome, partial))
    before = _before(folder)
    now = Exported(formats_to_write(made, formats, before.formats), verify)
    with whole(folder) as partial:
        said = dict(made.export_as(picked.genome, partial, now.formats, verify))
        now.write(partial, run.name, picked.id)
    for sentence in before.lost_with(now):
        _log.warning("export: %s", sentence)
    return folder, said


def _before(folder: Path) -> Exported:
    """Return what was exported before; a record that was altered is said and replaced, with what it spoke for."""
    try:
        return Exported.read(folder)
    except RunCorrupt as error:
        _log.warning("export: %s; it is replaced now, and what was exported before may not be", error)
        return Exported()
