"""A chosen candidate won back: the problem's own recovery, its folder in the run, and the values before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from emoprune.commands.questions import Question, answered, offers_no
from emoprune.commands.reopen import best_of, chosen, ready, reopened, seed_of
from emoprune.contracts import Problem, Recovered, Recovering, own_constraints_of
from emoprune.errors import ContractError
from emoprune.records import Evaluation, Split
from emoprune.run import Run
from emoprune.run.locks import alone, whole
from emoprune.storage import Journal

__all__ = ["recover"]


def recover(
    run: Run,
    candidate: str,
    *,
    options: Sequence[str] = (),
    problem: Problem | None = None,
    device: str = "cpu",
    trust_code: bool = False,
) -> dict[str, Any]:
    """Let the run's problem recover one candidate; return what was done and its values before and after, by split.

    The recovered thing is written into the run's `recovered/<id>`, replacing an older one, and a line is appended to
    `recovered.jsonl`. The run itself is only read, so this works while it is still being written.

    Args:
        run: Whose candidate.
        candidate: Its number, a reference's name, `knee` or `best`.
        options: The problem's own options as words, `epochs=3`.
        problem: The object that the run was given as its problem.
        device: What the problem computes on, `cpu` or `cuda`.
        trust_code: Import the code that a run names though it is not known to be this user's.

    Raises:
        RunNotFound: The run has no such candidate.
        ConfigError: The problem offers no recovery or changed, or an option is wrong.
        ContractError: The problem names values that it does not have.
        RunLocked: Another process recovers this candidate.
        TrustError: The run names code to import and is not known to be this user's.
    """
    picked = None if candidate == "best" and run.blocks is None else chosen(run, candidate)
    seed = seed_of(run)
    call = "emoprune.commands.recovery.recover(run, candidate, problem=...)"
    with reopened(run, problem, call=call, trust_code=trust_code) as made:
        if not isinstance(made, Recovering):
            raise offers_no(made, "recover", "recovery")
        question = Question.of(made.recover, options)
        by_evidence = picked is None
        if by_evidence:
            ready(made, run, device)
        evaluation = best_of(made, run) if picked is None else picked
        number = evaluation.candidate.id
        folder = run.path / "recovered" / str(number)
        with alone(run.path, f"recover-{number}"):
            if not by_evidence:
                ready(made, run, device)
            with whole(folder) as partial:
                found = answered(question, (evaluation.candidate.genome, partial, seed), Recovered)
                _check_names(made, found)
            line = {
                "candidate": number,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "options": dict(question.settled),
                "seed": seed,
                "before": _before(run, evaluation, found),
                "after": {split: dict(values) for split, values in found.values.items()},
                "description": dict(found.description),
            }
            _append(run, line)
    return {"path": str(folder), **line}


def _append(run: Run, line: Mapping[str, Any]) -> None:
    """Append to recovered.jsonl, which has one writer at a time."""
    journal_of = run.path / "recovered.jsonl"
    with alone(run.path, journal_of.name, seconds=60), Journal(journal_of) as journal:
        journal.append([line])


def _check_names(problem: Problem, found: Recovered) -> None:
    known = [objective.name for objective in problem.objectives]
    known += [constraint.name for constraint in own_constraints_of(problem)]
    for split, values in found.values.items():
        wrong = [name for name in values if name not in known]
        if wrong:
            owner = type(problem).__name__
            raise ContractError(
                f"{owner}.recover: expected values of {', '.join(known)} on {split}, found one of {wrong[0]!r}"
            )


def _before(run: Run, evaluation: Evaluation, found: Recovered) -> dict[str, Mapping[str, float]]:
    """Return what the run measured of the candidate on each split that was measured again; nothing where it did not."""
    measured = {(evaluation.candidate.id, Split.SEARCH): evaluation, **run.remeasured()}
    before = {Split(split): measured.get((evaluation.candidate.id, Split(split))) for split in found.values}
    return {split.value: {} if old is None else dict(old.values) for split, old in before.items()}
