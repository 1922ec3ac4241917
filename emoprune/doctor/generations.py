"""The lines of generations.jsonl made again from the history, as far as it knows what they said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.errors import RunCorrupt
from emoprune.evolution.archive import Archive
from emoprune.records import Evaluation
from emoprune.run import Run
from emoprune.run.contents import GENERATIONS
from emoprune.run.fitting import mismatch
from emoprune.run.reading import parsed_record, read_manifest
from emoprune.storage import finished_lines, sealed_line, write_atomically, write_sealed

__all__ = ["forget_held", "mend_generations"]

UNKNOWN = ("seconds", "note")  # what the history does not know of a generation


def mend_generations(run: Run, checkpoints: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Make the generations again up to the newest checkpoint where some are missing or wrong; say what is lost.

    Nothing is done where the history does not fit that checkpoint: then the run begins again, and writes them anew.

    Args:
        run: Its history can be read.
        checkpoints: What those that can be read hold, by name.
    """
    if not checkpoints or not _wrong(run):
        return []
    newest, evaluations = checkpoints[max(checkpoints)], run.evaluations()
    measured = len(newest["reference_point"]) == len(run.objectives) and "genes" in run.manifest
    if not measured or mismatch(evaluations, newest, run.objectives, run.constraints) is not None:
        return []
    known = _as_written(run) | {body["generation"]["generation"]: body["generation"] for body in checkpoints.values()}
    lines, anew = [], 0
    for line in _lines(run, evaluations, newest):
        before = known.get(line["generation"], {})
        fits = {**line, **{name: before.get(name) for name in UNKNOWN}} == {"note": None, **before}
        lines.append(before if fits else line)
        anew += not fits
    forget_held(run.path, GENERATIONS)
    write_atomically(run.path / GENERATIONS, b"".join(sealed_line(line) + b"\n" for line in lines))
    if not anew:
        return [f"{GENERATIONS} as it was: its lines were made again, and nothing of them is lost"]
    return [f"when {anew} generations were finished: their lines in {GENERATIONS} were made again from the history"]


def _wrong(run: Run) -> bool:
    try:
        run.generation_lines()
        run.all_evaluations()
    except RunCorrupt:
        return True
    return False


def _as_written(run: Run) -> dict[int, dict[str, Any]]:
    """Return the lines that can be read, by generation."""
    path, found = run.path / GENERATIONS, {}
    for number, text in enumerate(finished_lines(path), 1):
        try:
            line = parsed_record(path, number, text, sealed=run.sealed)
        except RunCorrupt:  # it is made again
            continue
        found[int(line["generation"])] = line
    return found


def _lines(run: Run, evaluations: Sequence[Evaluation], newest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the history knows of each generation up to that of a checkpoint."""
    last, point = newest["generation"]["generation"], np.array(newest["reference_point"], dtype=np.float64)
    archive = Archive(run.objectives, run.constraints, len(run.manifest["genes"]))
    lines = []
    for index, each in groupby(evaluations, key=lambda evaluation: evaluation.candidate.generation):
        if index > last:
            break
        own = list(each)
        archive.add(own)
        counts = {"generation": index, "evaluated": archive.evaluated, "failed": archive.failed, "born": len(own)}
        front = {"front": archive.front.ids.tolist(), "hypervolume": archive.hypervolume(point), "best": archive.best}
        lines.append({**counts, **front, "ended": None, **dict.fromkeys(UNKNOWN)})
    return lines


def forget_held(folder: Path, *names: str) -> None:
    """Let a run not know what some of its journals held when it ended, where that is no longer to be had."""
    manifest = read_manifest(folder)
    held = {name: known for name, known in manifest.get("held", {}).items() if name not in names}
    if held != manifest.get("held", {}):
        write_sealed(folder / "manifest.json", {**manifest, "held": held})
