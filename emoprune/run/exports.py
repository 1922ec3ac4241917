"""The record in a candidate's exported folder: of which run and candidate it is, in which formats, whether verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emoprune.errors import RunCorrupt
from emoprune.run.contents import EXPORTED
from emoprune.storage import read_json, unsealed_object, write_sealed

__all__ = ["RECORD", "UNPROTECTED", "export_records", "read_export", "write_export"]

RECORD = "export.json"
SCHEMA = "emoprune.exported/2"
UNPROTECTED = "emoprune.exported/1"  # of earlier versions, which wrote no checksum

AGAIN = "export it again, or remove the folder"


def export_records(run: Path) -> Iterator[Path]:
    """Yield where the records of a run's exports lie, by candidate."""
    yield from sorted(run.glob(f"exports/*/{RECORD}"))


def read_export(folder: Path) -> dict[str, Any]:
    """Return the record in an exported folder, checked.

    Raises:
        RunCorrupt: It cannot be read, was altered, or is another candidate's.
    """
    path = folder / RECORD
    try:
        plain = read_json(path)
        record = unsealed_object(path, plain, required=plain.get("schema") != UNPROTECTED)
    except RunCorrupt as error:
        raise RunCorrupt(f"{error}; {AGAIN}") from error
    try:
        EXPORTED(record, "")
        if str(record["candidate"]) != folder.name:
            raise RunCorrupt(f"candidate: expected {folder.name[:40]}, found {record['candidate']}")
    except RunCorrupt as error:
        raise RunCorrupt(f"{path}: {error}; {AGAIN}") from error
    return record


def write_export(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record into an exported folder."""
    write_sealed(folder / RECORD, {"schema": SCHEMA, **record})
