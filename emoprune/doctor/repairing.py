"""A copy of a run without what is broken in it, which can be resumed; the run itself stays as it is."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emoprune.doctor.checks import Health
from emoprune.doctor.generations import forget_held, mend_generations
from emoprune.doctor.run_files import (
    broken_lines,
    broken_objects,
    check_resume,
    measures_for,
    readable_checkpoints,
)
from emoprune.errors import ConfigError, RunCorrupt
from emoprune.records import State
from emoprune.run import Run
from emoprune.run.contents import GENERATIONS, JOURNALS
from emoprune.run.exports import export_records, read_export
from emoprune.run.fitting import check_held
from emoprune.run.locks import whole
from emoprune.run.reading import parsed_record, read_manifest, read_starts, remade_manifest
from emoprune.storage import finished_lines, guarded, write_atomically, write_sealed

__all__ = ["Repaired", "repair"]

LEFT_OUT = (".lock", ".lock.json", ".locks", ".*.tmp", ".*.partial", "*.torn")


@dataclass(frozen=True, slots=True)
class Repaired:
    """Where the copy of a run is, and what it lacks, in words."""

    folder: Path
    left_out: tuple[str, ...]


def repair(folder: Path) -> Repaired:
    """Copy a run beside itself, to `<name>-repaired`, without what is broken in it.

    Where the history lost lines the copy has no checkpoints: a resume goes through it from the beginning, pays for
    nothing that is in it, and measures again what is missing. Lines that only generations.jsonl lacks are made again
    from the history at once; what else is made from it is made again by a resume.

    Raises:
        RunCorrupt: The manifest or the config cannot be read, and cannot be made again.
        ConfigError: The run is being written, or there is such a copy already.
        StorageError: The copy cannot be written.
    """
    if _is_written(folder):
        raise ConfigError(f"run {folder.name} is being written; let it end, or end it, then repeat")
    place = folder.with_name(f"{folder.name}-repaired")
    if place.exists():
        raise ConfigError(f"{place} exists; remove it, or resume it")
    left_out: list[str] = []
    with whole(place) as partial:
        with guarded(place):
            left_out += _copy(folder, partial)
        try:
            for each in _with_stages(partial):
                stage = "" if each == partial else f"stage {each.name}: "
                left_out += [f"{stage}{words}" for words in _mend(each)]
        except RunCorrupt as error:  # of a copy that goes away
            raise RunCorrupt(str(error).replace(str(partial), str(folder))) from error
    return Repaired(place, tuple(left_out))


def _copy(folder: Path, place: Path) -> list[str]:
    """Copy the files and folders of a run, and say what else lay there: a pipe would be waited for."""
    said: list[str] = []
    without = shutil.ignore_patterns(*LEFT_OUT)

    def ignored(inside: str, names: list[str]) -> set[str]:
        passed_over = without(inside, names)
        for each in (Path(inside, name) for name in names if name not in passed_over):
            if not stat.S_ISREG(each.lstat().st_mode) and not stat.S_ISDIR(each.lstat().st_mode):
                said.append(f"{each.relative_to(folder)}, which is neither a file nor a folder")
                passed_over.add(each.name)
        return passed_over

    shutil.copytree(folder, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    return said


def _is_written(folder: Path) -> bool:
    try:
        return Run(folder).progress.state is State.RUNNING
    except RunCorrupt:  # a run that is written has a manifest and a status that can be read
        return False


def _with_stages(folder: Path) -> Sequence[Path]:
    return [folder, *(path.parent for path in sorted(folder.glob("stages/*/manifest.json")))]


def _mend(folder: Path) -> list[str]:
    """Leave out what cannot be read or does not fit, in a copy, and say what that is.

    Raises:
        RunCorrupt: What is left is no run.
    """
    said = _mend_manifest(folder)
    run = Run(folder)
    _ = run.config
    said += _mend_journals(run)
    said += _mend_held(run)
    for name in broken_objects(run):
        (folder / name).unlink()
        said.append(
            f"{name}, which a resume writes anew" if name != "audit.json" else "audit.json; audit the run again"
        )
    said += _mend_recoveries(run)
    said += _mend_exports(folder)
    _, damaged = readable_checkpoints(folder)
    for name in damaged:
        (folder / "checkpoints" / name).unlink()
        said.append(f"checkpoints/{name}")
    said += mend_generations(run, readable_checkpoints(folder)[0])
    said += _mend_beginning(run)
    if said:
        _interrupt(run)
    return said


def _mend_manifest(folder: Path) -> list[str]:
    try:
        read_manifest(folder)
    except RunCorrupt as error:
        write_sealed(folder / "manifest.json", remade_manifest(folder, error))
        _begin_again(folder)
        return ["what manifest.json said of the problem and of its references; a resume asks the problem again"]
    return []


def _mend_journals(run: Run) -> list[str]:
    said = []
    for name in (each for each in JOURNALS if each != GENERATIONS):  # which are made again
        path = run.path / name
        broken = broken_lines(path, measures_for(run, name), sealed=run.sealed)
        if broken:
            kept = [line for number, line in enumerate(finished_lines(path), 1) if number not in broken]
            write_atomically(path, b"".join(line + b"\n" for line in kept))
            said.append(f"{len(broken)} lines of {name}")
    return said


def _mend_held(run: Run) -> list[str]:
    """Forget what the run ended with if its journals have lost some of it: what is missing is measured again."""
    said = []
    for name, before in run.manifest.get("held", {}).items():
        try:
            check_held(run.path / name, before)
        except RunCorrupt as error:
            if name != GENERATIONS:
                forget_held(run.path, name)
                said.append(f"what manifest.json said of how much was evaluated ({str(error).partition(';')[0]})")
    return said


def _mend_recoveries(run: Run) -> list[str]:
    path = run.path / "recovered.jsonl"
    lines = [(line, parsed_record(path, 1, line, sealed=run.sealed)) for line in finished_lines(path)]
    own = [line for line, plain in lines if plain["seed"] == run.manifest["seed"]]
    if len(own) == len(lines):
        return []
    write_atomically(path, b"".join(line + b"\n" for line in own))
    return [f"{len(lines) - len(own)} lines of {path.name}, which are of another run"]


def _mend_exports(folder: Path) -> list[str]:
    said = []
    for path in export_records(folder):
        try:
            read_export(path.parent)
        except RunCorrupt:
            path.unlink()
            said.append(f"{path.relative_to(folder)}; export the candidate again")
    return said


def _mend_beginning(run: Run) -> list[str]:
    """Leave out the checkpoints if the history is not what it was when they were written."""
    said = []
    whole_ones, _ = readable_checkpoints(run.path)
    if check_resume(run, whole_ones).health is Health.FAIL:
        _begin_again(run.path)
        said.append("its checkpoints: a resume goes through the history again, and measures what is missing")
    starts = run.path / "warm_start.json"
    if starts.exists():
        read_starts(starts)
    return said


def _interrupt(run: Run) -> None:
    """Make a run, or a stage, that is over one that goes on: it may have to measure again what was left out."""
    if (run.path / "status.json").exists():
        stopped = replace(run.progress, state=State.INTERRUPTED, message="repaired; `emoprune resume` continues it")
        write_sealed(run.path / "status.json", stopped.as_json())


def _begin_again(folder: Path) -> None:
    for checkpoint in (folder / "checkpoints").glob("gen-*.json"):
        checkpoint.unlink()
    (folder / GENERATIONS).write_bytes(b"")
    forget_held(folder, GENERATIONS)
