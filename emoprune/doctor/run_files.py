"""Whether the files of a run are whole: every line of its journals, its checkpoints, and whether they fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from emoprune.doctor.checks import Check, Health
from emoprune.errors import RunCorrupt
from emoprune.evolution.archive import Archive
from emoprune.records import Evaluation, State
from emoprune.run import Run
from emoprune.storage import finished_lines, parsed_line, read_checked

__all__ = ["JOURNALS", "broken_lines", "check_run"]

REPAIR = "`emoprune doctor RUN --repair` makes a copy without them, which can be resumed"
SHOWN = 5  # line numbers


def _generation(line: Mapping[str, Any]) -> object:
    return int(line["generation"]), int(line["evaluated"]), list(line["front"])


JOURNALS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "history.jsonl": Evaluation.from_json,
    "remeasured.jsonl": Evaluation.from_json,
    "generations.jsonl": _generation,
}


def broken_lines(path: Path) -> dict[int, str]:
    """Return what is wrong with which finished lines of a run's journal, by number."""
    broken = {}
    for number, line in enumerate(finished_lines(path), 1):
        try:
            JOURNALS[path.name](parsed_line(path, number, line))
        except (RunCorrupt, KeyError, TypeError, ValueError) as error:
            broken[number] = str(error)
    return broken


def check_run(folder: Path, prefix: str = "") -> Iterator[Check]:
    """Yield what is found in a run's folder and in those of its stages; nothing is written.

    Args:
        folder: Has a manifest.
        prefix: What the names of the checks begin with.
    """
    manifest = _manifest(folder, prefix)
    yield manifest
    for name in JOURNALS:
        yield _journal(folder / name, prefix)
    if manifest.health is Health.FAIL:
        return
    run = Run(folder)
    yield _status(run, prefix)
    yield from _checkpoints(run, prefix)
    yield from _leftovers(folder, prefix)
    try:
        stages = run.stages
        if (folder / "warm_start.json").exists():
            read_checked(folder / "warm_start.json")
    except (RunCorrupt, KeyError, TypeError) as error:
        yield Check(f"{prefix}beginning", Health.FAIL, str(error), "restore the file from a copy")
        return
    for stage, own in stages.items():
        yield from check_run(own.path, f"{prefix}{stage}: ")


def _manifest(folder: Path, prefix: str) -> Check:
    name, fix = f"{prefix}manifest", "restore manifest.json and config.resolved.json from a copy"
    try:
        run = Run(folder)
        found = f"format {run.manifest['schema_version']}, made by emoprune {run.manifest.get('emoprune')}"
        _ = run.config, run.references, run.objectives, run.constraints
    except (RunCorrupt, KeyError, TypeError, ValueError) as error:
        return Check(name, Health.FAIL, str(error), fix)
    return Check(name, Health.OK, found)


def _journal(path: Path, prefix: str) -> Check:
    name, broken, lines = f"{prefix}{path.name}", broken_lines(path), len(finished_lines(path))
    if broken:
        shown = ", ".join(str(number) for number in list(broken)[:SHOWN]) + ", ..." * (len(broken) > SHOWN)
        return Check(name, Health.FAIL, f"{len(broken)} of {lines:,} lines are broken: {shown}", REPAIR)
    torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    fix = "the next resume cuts it off, keeps it beside the file and measures again what it was about"
    return Check.judged(name, f"{lines:,} lines{', the last one unfinished' * torn}", warn=torn, fix=fix)


def _status(run: Run, prefix: str) -> Check:
    name = f"{prefix}status"
    try:
        progress = run.progress
    except RunCorrupt as error:
        return Check(name, Health.WARN, str(error), "the next resume rewrites it")
    stale = progress.state is State.STALE
    return Check.judged(
        name, f"{progress.state.value}, {progress.evaluated:,} evaluations", warn=stale, fix="resume it"
    )


def _checkpoints(run: Run, prefix: str) -> Iterator[Check]:
    """Yield one check for each checkpoint that is damaged, and one that says from where the run would go on."""
    whole: dict[str, dict[str, Any]] = {}
    for path in sorted((run.path / "checkpoints").glob("gen-*.json")):
        try:
            whole[path.name] = read_checked(path)
        except RunCorrupt as error:
            fix = "nothing: a resume goes on from the one before it"
            yield Check(f"{prefix}checkpoint", Health.WARN, f"{path.name} is damaged: {error}", fix)
    name = f"{prefix}resume"
    if not whole:
        yield Check(name, Health.OK, "would begin at generation 0, with what the history holds not paid again")
        return
    newest = max(whole)
    try:
        mismatch = _mismatch(run, whole[newest])
    except RunCorrupt as error:
        yield Check(name, Health.FAIL, str(error), REPAIR)
        return
    fix = "restore history.jsonl from a copy; --repair makes a copy that measures again what is missing"
    found = mismatch or f"would go on behind {newest}, which fits the history"
    yield Check.judged(name, found, fail=mismatch is not None, fix=fix)


def _mismatch(run: Run, body: Mapping[str, Any]) -> str | None:
    """Say in what the history differs from what it was at a checkpoint; None if it does not."""
    until = int(body["evolution"]["next_id"])
    known = [each for each in run.evaluations() if each.candidate.id < until]
    if len(known) != until:
        return f"the newest checkpoint counts {until:,} candidates, history.jsonl holds {len(known):,} of them"
    archive = Archive(run.objectives, run.constraints, len(run.manifest["genes"]))
    for _, generation in groupby(known, key=lambda each: each.candidate.generation):
        archive.add(generation)
    return None if archive.digest == body["history_digest"] else "history.jsonl was altered since its last checkpoint"


def _leftovers(folder: Path, prefix: str) -> Iterator[Check]:
    patterns = (".*.tmp", "checkpoints/.*.tmp", "exports/.*.partial", "recovered/.*.partial")
    left = [path for pattern in patterns for path in folder.glob(pattern)]
    if left:
        found = f"{len(left)} files or folders that a killed process left half-written"
        yield Check(f"{prefix}leftovers", Health.WARN, found, "nothing: the next resume or command removes them")
    torn = sorted(path.name for path in folder.glob("*.torn"))
    if torn:
        yield Check(
            f"{prefix}leftovers", Health.OK, f"{', '.join(torn)}: lines that a crash cut off, kept to be looked at"
        )
