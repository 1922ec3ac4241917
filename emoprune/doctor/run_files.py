"""Whether the files of a run are whole: each of them by itself, and whether they fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emoprune.config import edited
from emoprune.doctor.checks import Check, Health
from emoprune.doctor.missing import check_missing
from emoprune.errors import RunCorrupt
from emoprune.records import Evaluation, State
from emoprune.run import Run
from emoprune.run.contents import GENERATIONS, JOURNALS, OBJECTS, REMEASURED, SEARCHED
from emoprune.run.evaluations import Measures, joined, parsed_evaluation
from emoprune.run.exports import UNPROTECTED, export_records, read_export
from emoprune.run.fitting import mismatch
from emoprune.run.leftovers import leftovers_beside, leftovers_in
from emoprune.run.reading import parsed_record, read_checkpoint, read_manifest, read_object, read_starts
from emoprune.storage import content_of, fingerprint, finished_lines

__all__ = [
    "broken_lines",
    "broken_objects",
    "check_resume",
    "check_run",
    "measures_for",
    "readable_checkpoints",
]

REPAIR = "`emoprune doctor RUN --repair` makes a copy without them, which can be resumed"
RESTORE = "restore the file from a copy"
SHOWN = 5  # line numbers
NO_MORE = Measures(None, None)


def measures_for(run: Run, name: str) -> Measures:
    """Return what the lines of one of the run's journals must have, as far as the others of its files can be read."""
    measures = Measures.of(run.manifest)
    if name != REMEASURED:
        return measures
    try:
        return measures.again(run.evaluations())
    except RunCorrupt:  # the history's own check says so
        return measures


def broken_lines(path: Path, measures: Measures, *, sealed: bool) -> dict[int, str]:
    """Return what is wrong with which finished lines of a run's journal, by number."""
    broken: dict[int, str] = {}
    evaluations: dict[int, Evaluation] = {}
    for number, line in enumerate(finished_lines(path), 1):
        try:
            if path.name in {SEARCHED, REMEASURED}:
                evaluations[number] = parsed_evaluation(path, number, line, measures, sealed=sealed)
            else:
                parsed_record(path, number, line, sealed=sealed)
        except RunCorrupt as error:
            broken[number] = str(error)
    _, unfounded = joined(evaluations)
    return broken | {number: f"{path}:{number}: {words}" for number, words in unfounded.items()}


def broken_objects(run: Run) -> dict[str, str]:
    """Return what is wrong with which of the files that are made from the truth, by name."""
    broken = {}
    for name in OBJECTS:
        try:
            plain = read_object(run.path, name, sealed=run.sealed) if (run.path / name).exists() else {}
        except RunCorrupt as error:
            broken[name] = str(error)
            continue
        table = run.path / "pareto.csv"
        if "pareto.csv" in plain and table.exists() and _is_over(run):
            words = _altered(table, plain["pareto.csv"])
            if words is not None:
                broken["pareto.csv"] = words
    return broken


def _altered(table: Path, written: object) -> str | None:
    """Say what is wrong with a table, given its fingerprint as it was written; None if nothing is."""
    try:
        if fingerprint(content_of(table).decode("utf-8", "backslashreplace")) == written:
            return None
    except RunCorrupt as error:
        return str(error)
    return f"{table}: it was altered since it was written; `emoprune resume` rewrites it"


def _is_over(run: Run) -> bool:
    """Whether the table and what is said of it were written together: a run that goes on may be between them."""
    try:
        return run.progress.state is State.FINISHED
    except RunCorrupt:
        return False


def check_run(folder: Path, prefix: str = "") -> Iterator[Check]:
    """Yield what is found in a run's folder and in those of its stages; nothing is written.

    Args:
        folder: Has a manifest.
        prefix: What the names of the checks begin with.
    """
    manifest = _manifest(folder, prefix)
    yield manifest
    run = None if manifest.health is Health.FAIL else Run(folder)
    for name in JOURNALS:
        if name != "recovered.jsonl" or (folder / name).exists():
            known = NO_MORE if run is None else measures_for(run, name)
            check = _journal(folder / name, prefix, known, sealed=run is not None and run.sealed)
            yield check
            if name == GENERATIONS and run is not None and check.health is not Health.FAIL:
                yield from _missing_generations(run, prefix)
    if run is None:
        return
    yield from _protection(run, prefix)
    yield _found(f"{prefix}config", lambda: f"problem {run.config['problem']['name']}", RESTORE)
    yield from _given(run, prefix)
    yield _status(run, prefix)
    for name, words in broken_objects(run).items():
        if name != "status.json":
            yield Check(f"{prefix}{name}", Health.FAIL, words, "what is made from the truth can be made again")
    yield from _checkpoints(run, prefix)
    yield from _exports(folder, prefix)
    yield from check_missing(run, prefix)
    yield from _leftovers(folder, prefix)
    yield from _stages(run, prefix)


def _found(name: str, look: Callable[[], str], fix: str) -> Check:
    """Return the check of what `look` finds, or of what keeps it from it."""
    try:
        return Check(name, Health.OK, look())
    except RunCorrupt as error:
        return Check(name, Health.FAIL, str(error), fix)


def _manifest(folder: Path, prefix: str) -> Check:
    def look() -> str:
        manifest = read_manifest(folder)
        return f"format {manifest['schema_version']}, made by emoprune {manifest.get('emoprune')}"

    return _found(f"{prefix}manifest", look, "restore manifest.json from a copy, or see whether --repair can mend it")


def _journal(path: Path, prefix: str, measures: Measures, *, sealed: bool) -> Check:
    name = f"{prefix}{path.name}"
    try:
        broken, lines = broken_lines(path, measures, sealed=sealed), len(finished_lines(path))
        torn = path.exists() and content_of(path)[-1:] not in (b"", b"\n")
    except RunCorrupt as error:
        return Check(name, Health.FAIL, str(error), RESTORE)
    if broken:
        shown = ", ".join(str(number) for number in list(broken)[:SHOWN]) + ", ..." * (len(broken) > SHOWN)
        first = next(iter(broken.values()))
        return Check(name, Health.FAIL, f"{len(broken)} of {lines:,} lines are broken: {shown}; {first}", REPAIR)
    fix = "the next resume cuts it off, keeps it beside the file and measures again what it was about"
    return Check.judged(name, f"{lines:,} lines{', the last one unfinished' * torn}", warn=torn, fix=fix)


def _missing_generations(run: Run, prefix: str) -> Iterator[Check]:
    try:
        run.generation_lines()
    except RunCorrupt as error:
        yield Check(f"{prefix}{GENERATIONS}", Health.FAIL, str(error), REPAIR)


def _protection(run: Run, prefix: str) -> Iterator[Check]:
    if not run.sealed:
        found = "an earlier version began it, whose files have no checksums: an altered number may not be noticed"
        yield Check(f"{prefix}checksums", Health.WARN, found, "nothing: runs that are begun now have them")


def _given(run: Run, prefix: str) -> Iterator[Check]:
    path = run.path / "config.yaml"
    try:
        words = edited(path, content_of(path), run.manifest.get("given")) if path.exists() else None
    except RunCorrupt as error:
        yield Check(f"{prefix}config.yaml", Health.FAIL, str(error), "remove it: a resume goes by config.resolved.json")
        return
    if words is not None:
        said, _, fix = words.rpartition(": ")
        yield Check(f"{prefix}config.yaml", Health.WARN, said, fix)


def _status(run: Run, prefix: str) -> Check:
    name = f"{prefix}status"
    try:
        progress = run.progress
    except RunCorrupt as error:
        return Check(name, Health.FAIL, str(error), "the next resume rewrites it")
    stale = progress.state is State.STALE
    return Check.judged(
        name, f"{progress.state.value}, {progress.evaluated:,} evaluations", warn=stale, fix="resume it"
    )


def readable_checkpoints(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the contents of a run's checkpoints that can be read, and what is wrong with the others, by name."""
    whole, damaged = {}, {}
    for path in sorted((folder / "checkpoints").glob("gen-*.json")):
        try:
            whole[path.name] = read_checkpoint(path)
        except RunCorrupt as error:
            damaged[path.name] = str(error)
    return whole, damaged


def _checkpoints(run: Run, prefix: str) -> Iterator[Check]:
    """Yield one check for each checkpoint that is damaged, and one that says from where the run would go on."""
    whole, damaged = readable_checkpoints(run.path)
    earlier = f"from {max(whole)}" if whole else "from the beginning, with what the history holds not paid again"
    for name, words in damaged.items():
        later = not whole or name > max(whole)
        fix = f"nothing: a resume goes on {earlier}" if later else "nothing: a later one is whole"
        yield Check(f"{prefix}checkpoint", Health.WARN, f"{name} is damaged: {words}", fix)
    yield check_resume(run, whole, prefix)


def check_resume(run: Run, checkpoints: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Check:
    """Say from where a run would go on, with these checkpoints, or why it cannot."""
    name, newest = f"{prefix}resume", max(checkpoints, default=None)
    try:
        known = run.evaluations()
        wrong = None if newest is None else mismatch(known, checkpoints[newest], run.objectives, run.constraints)
        if wrong is None:
            run.all_evaluations()
        run.remeasured(known)
    except RunCorrupt as error:
        return Check(name, Health.FAIL, str(error), REPAIR)
    if newest is None:
        return Check(name, Health.OK, "would begin at generation 0, with what the history holds not paid again")
    fix = "restore history.jsonl from a copy; --repair makes a copy that measures again what is missing"
    found = wrong or f"would go on behind {newest}, which fits the history"
    return Check.judged(name, found, fail=wrong is not None, fix=fix)


def _exports(folder: Path, prefix: str) -> Iterator[Check]:
    """Yield one check for each record that was altered, and one for all that have no checksum."""
    unprotected = []
    for path in export_records(folder):
        try:
            record = read_export(path.parent)
        except RunCorrupt as error:
            said, _, fix = str(error).rpartition("; ")
            yield Check(f"{prefix}exports", Health.FAIL, said, fix)
            continue
        unprotected += [path.parent.name] if record["schema"] == UNPROTECTED else []
    if unprotected:
        found = f"{', '.join(unprotected)}: an earlier version wrote what they hold down, without a checksum"
        yield Check(f"{prefix}exports", Health.WARN, found, "export them again, which gives them one")


def _leftovers(folder: Path, prefix: str) -> Iterator[Check]:
    left = [*leftovers_in(folder), *([] if prefix else leftovers_beside(folder))]
    if left:
        found = f"{len(left)} files or folders that a killed process left half-written"
        yield Check(f"{prefix}leftovers", Health.WARN, found, "nothing: the next resume removes them")
    torn = sorted(path.name for path in folder.glob("*.torn"))
    if torn:
        yield Check(
            f"{prefix}leftovers", Health.OK, f"{', '.join(torn)}: lines that a crash cut off, kept to be looked at"
        )


def _stages(run: Run, prefix: str) -> Iterator[Check]:
    """Yield what is found of what the search began with, and in the folders of its stages."""
    if (run.path / "warm_start.json").exists():
        starts = _found(f"{prefix}beginning", lambda: f"{len(read_starts(run.path / 'warm_start.json'))} runs", RESTORE)
        if starts.health is Health.FAIL:
            yield starts
    for folder in sorted(path.parent for path in run.path.glob("stages/*/manifest.json")):
        yield from check_run(folder, f"{prefix}{folder.name}: ")
