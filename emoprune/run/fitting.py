"""Whether the files of a run, each of them whole, fit together: with its checkpoint, and with what was kept of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Constraint, Objective, as_minimised, violations
from emoprune.errors import RunCorrupt
from emoprune.records import Evaluation, chained, table
from emoprune.run.contents import GENERATIONS, REMEASURED, SEARCHED
from emoprune.storage import finished_lines

__all__ = ["HELD", "check_counted", "check_generations", "check_held", "held", "mismatch"]

HELD = (SEARCHED, REMEASURED, GENERATIONS)  # what they held at an end is how they begin for as long as that is kept
RESTORED = "restore it from a copy, or let `emoprune doctor RUN --repair` make one that makes again what is missing"


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


def check_generations(path: Path, lines: Sequence[Mapping[str, Any]], checkpoint: Mapping[str, Any] | None) -> None:
    """Refuse generations that leave one out, or do not lead to a run's newest checkpoint.

    Args:
        path: Where they lie.
        lines: Theirs.
        checkpoint: What the newest one holds; None where there is none.

    Raises:
        RunCorrupt: Lines are missing, or were altered or exchanged.
    """
    for expected, line in enumerate(lines):
        if line["generation"] != expected:
            raise RunCorrupt(
                f"{path}:{expected + 1}: expected generation {expected}, found {line['generation']}; {RESTORED}"
            )
    if checkpoint is None:
        return
    newest = checkpoint["generation"]
    last = newest["generation"]
    if len(lines) < last:  # its own line is written after it
        raise RunCorrupt(
            f"{path}: expected a line for each of the {last} generations before the newest checkpoint, found "
            f"{len(lines)}; {RESTORED}"
        )
    if len(lines) > last and lines[last] != newest:
        raise RunCorrupt(
            f"{path}:{last + 1}: it was altered or exchanged: the newest checkpoint has another generation {last}; "
            f"{RESTORED}"
        )


def check_counted(path: Path, lines: Sequence[Mapping[str, Any]], found: Sequence[Evaluation]) -> None:
    """Refuse generations that count other evaluations than those in the history.

    Args:
        path: Where they lie.
        lines: Theirs, none left out.
        found: What was evaluated on the search split, by candidate.

    Raises:
        RunCorrupt: They are another run's.
    """
    born = Counter(each.candidate.generation for each in found)
    failed = Counter(each.candidate.generation for each in found if not each.ok)
    so_far, failed_so_far = 0, 0
    for number, line in enumerate(lines):
        so_far, failed_so_far = so_far + born[number], failed_so_far + failed[number]
        if (line["evaluated"], line["failed"]) != (so_far, failed_so_far):
            raise RunCorrupt(
                f"{path}:{number + 1}: expected {so_far:,} evaluations, {failed_so_far:,} of them failed, as in "
                f"{SEARCHED}, found {line['evaluated']:,} and {line['failed']:,}; {RESTORED}"
            )


def held(path: Path) -> dict[str, Any]:
    """Return how many finished lines a journal has, and their digest."""
    lines = finished_lines(path)
    return {"lines": len(lines), "digest": _digest(lines)}


def check_held(path: Path, before: Mapping[str, Any] | None) -> None:
    """Refuse a journal that no longer begins with what it held when the run last ended.

    Args:
        path: One of `HELD`.
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
