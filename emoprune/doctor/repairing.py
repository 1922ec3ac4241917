"""A copy of a run without what is broken in it, which can be resumed; the run itself stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from emoprune.doctor.checks import Health
from emoprune.doctor.run_files import JOURNALS, broken_lines, check_run
from emoprune.errors import ConfigError
from emoprune.records import State
from emoprune.run import Run
from emoprune.run.locks import whole
from emoprune.storage import finished_lines, guarded, write_atomically

__all__ = ["repair"]

LEFT_OUT = (".lock", ".lock.json", ".locks", ".*.tmp", ".*.partial", "*.torn")


def repair(folder: Path) -> Path:
    """Copy a run beside itself without its broken lines, and return the copy, `<name>-repaired`.

    Where the history lost lines the copy has no checkpoints: a resume goes through it from the beginning, pays for
    nothing that is in it, and measures again what is missing.

    Raises:
        RunCorrupt: The manifest cannot be read, and cannot be made again.
        ConfigError: The run is being written, or there is such a copy already.
        StorageError: The copy cannot be written.
    """
    run = Run(folder)
    if run.progress.state is State.RUNNING:
        raise ConfigError(f"run {run.name} is being written; let it end, or end it, then repeat")
    place = folder.with_name(f"{folder.name}-repaired")
    if place.exists():
        raise ConfigError(f"{place} exists; remove it, or resume it")
    with whole(place) as partial:
        with guarded(place):
            shutil.copytree(
                folder, partial, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True
            )
        for each in _with_stages(partial):
            _mend(each)
    return place


def _with_stages(folder: Path) -> Sequence[Path]:
    return [folder, *(path.parent for path in sorted(folder.glob("stages/*/manifest.json")))]


def _mend(folder: Path) -> None:
    """Leave broken lines out, and checkpoints where the history is not what it was when they were written."""
    for name in JOURNALS:
        path = folder / name
        if path.exists():
            broken = broken_lines(path)
            kept = [line for number, line in enumerate(finished_lines(path), 1) if number not in broken]
            write_atomically(path, b"".join(line + b"\n" for line in kept))
    own = (check for check in check_run(folder) if check.name == "resume")
    if any(check.health is Health.FAIL for check in own):
        for checkpoint in (folder / "checkpoints").glob("gen-*.json"):
            checkpoint.unlink()
        (folder / "generations.jsonl").write_bytes(b"")
