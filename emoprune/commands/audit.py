"""Whether a front can be believed: the problem's own audit of candidates along it, written into the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoprune.commands.questions import Question, answered, offers_no
from emoprune.commands.reopen import chosen, ready, reopened, seed_of
from emoprune.contracts import Audit, Audited, Problem
from emoprune.errors import ConfigError, RunNotFound
from emoprune.records import Candidate
from emoprune.run import Run
from emoprune.run.locks import alone
from emoprune.storage import guarded, write_sealed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["along_the_front", "audit"]

FEWEST = 3  # candidates: both ends and the knee


def audit(
    run: Run,
    *,
    candidates: int = 8,
    also: str = "",
    options: Sequence[str] = (),
    problem: Problem | None = None,
    device: str = "cpu",
    trust_code: bool = False,
) -> dict[str, Any]:
    """Let the run's problem audit candidates along the front; write `audit.json` into the run and return its content.

    Args:
        run: A finished run, or one still being written: its front so far is audited.
        candidates: How many members of the front at most.
        also: One more candidate, by its number, a reference's name, `knee` or `best`.
        options: The problem's own options as words, `epochs=3`.
        problem: The object that the run was given as its problem.
        device: What the problem computes on, `cpu` or `cuda`.
        trust_code: Import the code that a run names though it is not known to be this user's.

    Raises:
        RunNotFound: The run has no front yet.
        ConfigError: The problem offers no audit or changed, or an option is wrong.
        RunLocked: Another process audits this run.
        TrustError: The run names code to import and is not known to be this user's.
    """
    if candidates < FEWEST:
        raise ConfigError(f"expected at least {FEWEST} candidates to audit, found {candidates}; ask for more")
    audited = along_the_front(run, candidates)
    own = chosen(run, also).candidate if also else None
    audited += [own] if own is not None and own.id not in {each.id for each in audited} else []
    facts = _facts(run, audited)  # of now: a run that is still written goes on meanwhile
    call = "emoprune.commands.audit.audit(run, problem=...)"
    with reopened(run, problem, call=call, trust_code=trust_code) as made:
        if not isinstance(made, Audited):
            raise offers_no(made, "audit", "audit")
        question = Question.of(made.audit, options)
        with alone(run.path, "audit"):
            ready(made, run, device)
            found = answered(question, (audited, _folder(run), seed_of(run)), Audit)
            content = {**facts, "options": dict(question.settled), **_plain(found)}
            write_sealed(run.path / "audit.json", {"schema": "emoprune.audit/1", **content}, indent=1)
    return content


def _folder(run: Run) -> Path:
    folder = run.path / "audit"
    with guarded(folder):
        folder.mkdir(exist_ok=True)
    return folder


def _facts(run: Run, audited: Sequence[Candidate]) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": run.progress.state.value,
        "generation": max(evaluation.candidate.generation for evaluation in run.evaluations()),
        "candidates": [candidate.id for candidate in audited],
        "seed": seed_of(run),
    }


def _plain(found: Audit) -> dict[str, Any]:
    return {
        "alarms": sum(finding.alarm for finding in found.findings),
        "findings": [asdict(finding) for finding in found.findings],
        "tables": {title: [dict(row) for row in rows] for title, rows in found.tables.items()},
    }


def along_the_front(run: Run, count: int) -> list[Candidate]:
    """Return at most `count` members of the front without the unpruned, evenly along its second objective.

    Both ends and the knee are among them; they come in the order of that objective.

    Raises:
        RunNotFound: The front is empty, or holds nothing but the unpruned.
    """
    frame = run.pareto
    unpruned = next(iter(run.references), -1)
    front = frame[(frame["rank"] == 1) & (frame["candidate_id"] != unpruned)]
    if front.empty:
        raise RunNotFound(f"run {run.name} has no front to audit yet, beside the unpruned; let it search on")
    objectives = run.objectives
    along = f"obj.{objectives[min(1, len(objectives) - 1)].name}"
    front = front.sort_values([along, "candidate_id"], kind="stable").reset_index(drop=True)
    wanted = front["candidate_id"].iloc[_evenly(front, count)].tolist()
    by_id = {evaluation.candidate.id: evaluation.candidate for evaluation in run.evaluations()}
    return [by_id[number] for number in wanted]


def _evenly(front: pd.DataFrame, count: int) -> list[int]:
    """Return rows of the sorted front at even distances; the one nearest to the knee gives its place to it."""
    rows = np.unique(np.linspace(0, len(front) - 1, min(count, len(front))).round().astype(np.int64))
    knees = np.flatnonzero(front["knee"] == 1)
    if len(knees) and len(rows) > 2 and knees[0] not in rows:
        inner = rows[1:-1]
        inner[np.argmin(np.abs(inner - knees[0]))] = knees[0]
    return [int(row) for row in rows]
