"""Whether the files of a run, each of them whole, fit together: the history its checkpoint, and both what was kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Constraint, Objective, as_minimised, violations
from emoprune.errors import RunCorrupt
from emoprune.records import Evaluation, chained, table
from emoprune.run.contents import SEARCHED
from emoprune.run.reading import read_checkpoint
from emoprune.storage import finished_lines

__all__ = ["APPENDED", "check_held", "held", "mismatch", "newest_checkpoint"]

APPENDED = (SEARCHED, "remeasured.jsonl")  # never shortened, so what they once held is how they begin for ever
RESTORED = "restore it from a copy, or let `emoprune doctor RUN --repair` make one that measures again what is missing"


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return what the newest checkpoint of a run holds that can be read, from which a resume goes on; None without."""
    for path in sorted((folder / "checkpoints").glob("gen-*.json"), reverse=True):
        try:
            return read_checkpoint(path)
        except RunCorrupt:  # a resume and the doctor name it, and go by the one before as well
            continue
    return None


def mismatch(
    evaluations: Sequence[Evaluation],
    body: Mapping[str, Any],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> str | None:
    """Say in what a history differs from what it was at a checkpoint; None if it does not.

    Args:
        evaluations: By candidate; there may be later ones.
        body: The checkpoint's.
        objectives: In the order of the manifest.
        constraints: In the order of the manifest.
    """
    until = int(body["evolution"]["next_id"])
    known = [each for each in evaluations if each.candidate.id < until]
    if len(known) != until:
        return f"the newest checkpoint counts {until:,} candidates, history.jsonl holds {len(known):,} of them"
    digest = ""
    for _, generation in groupby(known, key=lambda each: each.candidate.generation):
        digest = _chained(digest, list(generation), objectives, constraints)
    return None if digest == body["history_digest"] else "history.jsonl was altered since its last checkpoint"


def _chained(
    digest: str, new: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> str:
    measured = [each for each in new if each.ok]
    return chained(
        digest,
        np.array([each.candidate.genome for each in new], dtype=np.int64),
        np.array([each.candidate.id for each in measured], dtype=np.int64),
        as_minimised(table(measured, [objective.name for objective in objectives]), objectives),
        violations(table(measured, [constraint.name for constraint in constraints]), constraints).sum(axis=1),
    )


def held(path: Path) -> dict[str, Any]:
    """Return how many finished lines a journal has, and their digest."""
    lines = finished_lines(path)
    return {"lines": len(lines), "digest": _digest(lines)}


def check_held(path: Path, before: Mapping[str, Any] | None) -> None:
    """Refuse a journal that no longer begins with what it held when the run last ended.

    Args:
        path: One of `APPENDED`.
        before: What `held` returned then; None if nobody kept it.

    Raises:
        RunCorrupt: Lines are missing, or were altered or exchanged.
    """
    if before is None:
        return
    counted, lines = before["lines"], finished_lines(path)
    if len(lines) < counted:
        raise RunCorrupt(
            f"{path}: the run ended with {counted:,} lines in it, as manifest.json says (held), it has {len(lines):,}; "
            f"{RESTORED}"
        )
    if _digest(lines[:counted]) != before["digest"]:
        raise RunCorrupt(
            f"{path}: its first {counted:,} lines are not those that the run ended with, as manifest.json says (held): "
            f"they were altered, removed or exchanged; {RESTORED}"
        )


def _digest(lines: Sequence[bytes]) -> str:
    return hashlib.blake2b(b"\n".join(lines), digest_size=16).hexdigest()
