"""What each file of a run must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune.errors import RunCorrupt
from emoprune.records import Split, State, Status
from emoprune.run.shape import (
    ANYTHING,
    Shape,
    cell,
    flag,
    listed,
    mapped,
    maybe,
    members,
    moment,
    number,
    one_of,
    text,
    whole,
)

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "ERROR",
    "EXPORTED",
    "GENERATIONS",
    "JOURNALS",
    "MANIFEST",
    "MEND",
    "OBJECTS",
    "REMEASURED",
    "SEARCHED",
    "STARTS",
]

SEARCHED = "history.jsonl"  # what was measured on the split that is searched on
REMEASURED = "remeasured.jsonl"  # what was measured again on the others
GENERATIONS = "generations.jsonl"
ERROR = ".se"  # behind the name of the column that it is the standard error of

MEND = "`emoprune doctor RUN` says what else is wrong, and with --repair makes a copy without it"
REWRITTEN = "`emoprune resume` rewrites it"


def _candidate(key: str) -> bool:
    return key.isdecimal() and len(key) < 19


def _genome(value: Any, key: str) -> None:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()):
            raise RunCorrupt(f"{key}: expected a digit for each gene, found {value[:40]!r}")
    else:
        listed(whole)(value, key)


EVALUATION = members(
    {
        "candidate": whole,
        "generation": whole,
        "origin": text,
        "parents": listed(whole),
        "genome": _genome,
        "split": one_of(Split),
        "status": one_of(Status),
        "values": mapped(number),
        "reason": maybe(text),
        "seed": whole,
        "ran": members({"worker": text, "seconds": number, "attempts": whole}),
    },
    {"begun": whole, "blocks": mapped(listed(number))},
)
GENERATION = members(
    {
        **dict.fromkeys(("generation", "evaluated", "failed", "born"), whole),
        "front": listed(whole),
        "hypervolume": number,
        "best": mapped(number),
        "seconds": maybe(number),  # which nobody knows of a line that was made again
        "ended": maybe(text),
    },
    {"note": maybe(text)},
)
RECOVERY = members(
    {
        "candidate": whole,
        "at": text,
        "options": mapped(ANYTHING),
        "seed": whole,
        "before": mapped(mapped(number)),
        "after": mapped(mapped(number)),
        "description": mapped(cell),
    }
)
CHECKPOINT = members(
    {
        "generation": GENERATION,
        "evolution": members({"algorithm": text, "next_id": whole, "rng": mapped(ANYTHING), "state": mapped(ANYTHING)}),
        "reference_point": listed(number),
        "history_digest": text,
    }
)
MANIFEST = members(
    {
        "created": text,
        "environment": members({"host": text, "user": number}),
        "problem": text,
        "seed": whole,
        "references": listed(members({"candidate": whole, "name": text})),
        "reference_point": maybe(mapped(number)),
        "sessions": listed(mapped(ANYTHING)),
    },
    {
        "name": text,
        "emoprune": maybe(text),
        "code_folder": text,
        "stage": text,
        "objectives": listed(members({"name": text}, {"direction": text, "unit": text, "worst": maybe(number)})),
        "constraints": listed(members({"name": text, "bound": number}, {"unit": text, "sense": text})),
        "genes": listed(members({"name": text, "levels": whole}, {"kind": text, "locked": maybe(whole)})),
        "fingerprint": maybe(text),
        "configs": listed(text),
        "given": maybe(text),
        "signed": listed(text),
        "held": mapped(members({"lines": whole, "digest": text})),
        "blocks": maybe(
            members(
                {"noisy": listed(text), "grades": listed(whole), "sizes": mapped(listed(number))},
                {"links": mapped(text)},
            )
        ),
    },
)
STATUS = members(
    {
        "state": one_of(State),
        "phase": text,
        **dict.fromkeys(
            ("generation", "generations", "evaluated", "pending", "failed", "retried", "front", "workers", "pid"), whole
        ),
        **dict.fromkeys(("hypervolume", "change", "per_second", "remaining"), maybe(number)),
        "best": mapped(number),
        "seconds": number,
        "updated": moment,
        "host": text,
    },
    {
        "message": maybe(text),
        "stages": mapped(text),
        "alarms": listed(text),
        "measured": mapped(whole),
        "spent": mapped(text),
    },
)
CONFIG = members({"problem": members({"name": text}), "search": members({}, {"reconsider": number, "seed": whole})})
EXPORTED = members({"schema": text, "candidate": whole, "formats": listed(text), "verified": flag})
STARTS = mapped(listed(listed(whole)))  # of warm_start.json: genomes by the run they come from
_ROWS = mapped(listed(mapped(cell)))
_FINDING = members(
    {"name": text, "value": number, "low": maybe(number), "high": maybe(number), "alarm": flag, "sentence": text}
)

OBJECTS: Mapping[str, tuple[Shape, str]] = {
    "status.json": (STATUS, REWRITTEN),
    "descriptions.json": (mapped(mapped(cell), _candidate), REWRITTEN),
    "marked.json": (mapped(listed(members({"text": text}, {"kept": flag})), _candidate), REWRITTEN),
    "pictures.json": (mapped(members({"caption": text, "svg": text}), _candidate), REWRITTEN),
    "pareto.schema.json": (members({"columns": mapped(mapped(ANYTHING))}), REWRITTEN),
    "stages.json": (members({"stages": listed(text), "tables": _ROWS, "notes": listed(text)}), REWRITTEN),
    "audit.json": (
        members({"at": text, "candidates": listed(whole), "findings": listed(_FINDING), "tables": _ROWS}),
        "`emoprune audit` makes it again",
    ),
}
"""What lies in a run beside its manifest as one object: its shape, and how it is mended."""

JOURNALS: Mapping[str, Shape] = {
    SEARCHED: EVALUATION,
    REMEASURED: EVALUATION,
    GENERATIONS: GENERATION,
    "recovered.jsonl": RECOVERY,
}
