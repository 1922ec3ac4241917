"""The pruned thing of one candidate, written and verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emoprune.commands.exported import Exported, check_formats, formats_to_write
from emoprune.commands.reopen import best_of, chosen, ready, reopened
from emoprune.contracts import Exporting, Problem
from emoprune.errors import RunCorrupt
from emoprune.run import Run
from emoprune.run.locks import alone, whole

__all__ = ["export"]

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
        folder = run.path / "exports" / str(picked.id)
        with alone(run.path, f"export-{picked.id}"):
            if not by_evidence:
                ready(made, run, "cpu")
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
