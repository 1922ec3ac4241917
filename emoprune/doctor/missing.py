"""What a run has lost without a trace in what is left of it, but for something else that speaks of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emoprune.doctor.checks import Check, Health
from emoprune.errors import RunCorrupt
from emoprune.records import State
from emoprune.run import Run
from emoprune.run.checkpoints import newest_checkpoint
from emoprune.run.contents import GENERATIONS
from emoprune.run.reading import read_records

__all__ = ["check_missing"]

MADE = ("descriptions.json", "pareto.csv", "pareto.schema.json")  # by every run that comes to its end
REWRITTEN = "`emoprune resume` writes it again"
AUDITED = "`emoprune audit` makes it again"
RECOVERIES = "recovered.jsonl"


def check_missing(run: Run, prefix: str) -> Iterator[Check]:
    """Yield a warning for each file that was there and is gone, and a failure for recoveries of another run."""
    gone = [(name, REWRITTEN) for name in MADE] if _came_to_its_end(run) else []
    if "given" in run.manifest:
        gone.append(("config.yaml", "nothing: a resume goes by config.resolved.json"))
    if (run.path / "audit").is_dir():
        gone.append(("audit.json", AUDITED))
    for name, fix in gone:
        if not (run.path / name).exists():
            yield Check(f"{prefix}{name}", Health.WARN, "it is gone", fix)
    yield from _newest(run, prefix)
    yield from _recoveries(run, prefix)


def _newest(run: Run, prefix: str) -> Iterator[Check]:
    """Yield a warning where the checkpoint of the last generation is gone, which is written before its line."""
    newest = newest_checkpoint(run.path)
    try:
        last = len(read_records(run.path / GENERATIONS, sealed=run.sealed)) - 1
    except RunCorrupt:  # the file's own check says so
        return
    if last > (-1 if newest is None else newest["generation"]["generation"]):
        fix = "nothing: a resume goes on from where it can, and pays for nothing that the history holds"
        yield Check(f"{prefix}checkpoint", Health.WARN, f"there is none of generation {last}, which was finished", fix)


def _came_to_its_end(run: Run) -> bool:
    try:
        return run.progress.state is State.FINISHED and newest_checkpoint(run.path) is not None
    except RunCorrupt:  # the status's own check says so
        return False


def _recoveries(run: Run, prefix: str) -> Iterator[Check]:
    try:
        lines = read_records(run.path / RECOVERIES, sealed=run.sealed)
    except RunCorrupt:  # the file's own check says so
        return
    foreign = [number for number, line in enumerate(lines, 1) if line["seed"] != run.manifest["seed"]]
    if foreign:
        found = f"line {foreign[0]} has another seed than the run: it is of another run"
        yield Check(f"{prefix}{RECOVERIES}", Health.FAIL, found, "restore the file from a copy")
    folders = {path.name for path in _folders(run.path / "recovered")}
    unknown = sorted(folders - {str(line["candidate"]) for line in lines})
    if unknown:
        found = f"it has no line of {', '.join(unknown)}, which lie in recovered/"
        yield Check(f"{prefix}{RECOVERIES}", Health.WARN, found, "recover them again, or restore the file from a copy")


def _folders(place: Path) -> Iterator[Path]:
    return (path for path in place.glob("[0-9]*") if path.is_dir())
