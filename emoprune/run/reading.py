"""The one way to read a run's files.

Whatever is wrong with a file, or with what lies in it, is a RunCorrupt that names file, line and key, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from emoprune.contracts import Blocks, Constraint, Objective
from emoprune.errors import ContractError, RunCorrupt
from emoprune.run.contents import CHECKPOINT, CONFIG, JOURNALS, MANIFEST, MEND, OBJECTS, STARTS
from emoprune.run.shape import Shape
from emoprune.space import Gene, Space
from emoprune.storage import (
    fingerprint,
    finished_lines,
    parsed_line,
    read_checked,
    read_json,
    read_sealed,
    unsealed_object,
)

__all__ = [
    "SCHEMA_VERSION",
    "UNSEALED",
    "constraints_in",
    "is_sealed",
    "mended_by",
    "objectives_in",
    "parsed_record",
    "read_checkpoint",
    "read_config",
    "read_manifest",
    "read_object",
    "read_records",
    "read_starts",
    "remade_manifest",
    "space_in",
]

SCHEMA_VERSION = 2
UNSEALED = 1  # the format of the runs whose files have no checksums

DESCRIBED = ("objectives", "constraints", "genes", "fingerprint")  # what a manifest has from the problem, all at once
KEPT = ("name", "created", "emoprune", "environment", "problem", "seed", "sessions", "code_folder", "stage", "given")

Record = TypeVar("Record", Objective, Constraint)


def read_object(folder: Path, name: str, *, sealed: bool) -> dict[str, Any]:
    """Return one of `OBJECTS`, checked.

    Args:
        folder: The run's.
        name: The file's.
        sealed: Whether the run's files have checksums.

    Raises:
        RunCorrupt: It cannot be read, was altered, or holds something else.
    """
    shape, remedy = OBJECTS[name]
    with mended_by(remedy):
        plain = read_sealed(folder / name, required=sealed)
    _checked(plain, shape, folder / name, remedy)
    return plain


def _checked(plain: Mapping[str, Any], shape: Shape, place: Path | str, remedy: str = MEND) -> None:
    with mended_by(remedy, f"{place}: "):
        shape(plain, "")


@contextmanager
def mended_by(remedy: str, place: str = "") -> Iterator[None]:
    """Say of what is found corrupt where it is, and what to do."""
    try:
        yield
    except RunCorrupt as error:
        raise RunCorrupt(f"{place}{error}; {remedy}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a run's manifest, checked.

    Raises:
        RunCorrupt: It cannot be read, was altered, or is of a version that cannot be read here.
    """
    path = folder / "manifest.json"
    with mended_by(MEND):
        plain = read_json(path)
    _check_version(folder, plain)
    with mended_by(MEND):
        manifest = unsealed_object(path, plain, required=is_sealed(plain))
    _checked(manifest, MANIFEST, path)
    with mended_by(MEND, f"{path}: "):
        names = [objective.name for objective in objectives_in(manifest)]
        constraints_in(manifest)
        space_in(manifest)
    described = [key for key in DESCRIBED if key in manifest]
    if described and len(described) < len(DESCRIBED):
        raise RunCorrupt(f"{path}: expected all of {', '.join(DESCRIBED)}, found {', '.join(described)}; {MEND}")
    point = manifest["reference_point"]
    if point is not None and point.keys() != set(names):
        raise RunCorrupt(f"{path}: reference_point: expected {', '.join(names)}, found {', '.join(point)}; {MEND}")
    return manifest


def remade_manifest(folder: Path, error: RunCorrupt) -> dict[str, Any]:
    """Return a damaged manifest without what a resume finds out again, and with the config that lies there.

    Raises:
        RunCorrupt: The `error`, if too little of it can be read.
    """
    plain = read_json(folder / "manifest.json")
    _check_version(folder, plain)
    kept = {key: plain[key] for key in ("schema_version", *KEPT) if key in plain}
    try:
        config = read_config(folder, {})
        manifest = {**kept, "references": [], "reference_point": None, "configs": [fingerprint(config)]}
        MANIFEST(manifest, "")
        same = manifest["problem"] == config["problem"]["name"] and manifest["seed"] == config["search"].get("seed")
    except RunCorrupt:
        raise error from None
    if not same:
        raise error
    return manifest


def is_sealed(manifest: Mapping[str, Any]) -> bool:
    """Whether the files of a run have checksums; those that an earlier version began need not."""
    return bool(manifest.get("schema_version", UNSEALED) > UNSEALED)


def _check_version(folder: Path, plain: Mapping[str, Any]) -> None:
    version, made_by = plain.get("schema_version"), str(plain.get("emoprune") or "another version")[:40]
    if type(version) is not int or version < 1:
        raise RunCorrupt(
            f"{folder / 'manifest.json'}: schema_version: expected {UNSEALED} or {SCHEMA_VERSION}, found "
            f"{str(version)[:40]!r}; restore the file from a copy"
        )
    if version > SCHEMA_VERSION:
        raise RunCorrupt(
            f"{folder}: expected run format {SCHEMA_VERSION} or older, found {version}, made by the newer emoprune "
            f"{made_by}; update emoprune to that version to read it: pip install --upgrade emoprune"
        )


def objectives_in(manifest: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return a manifest's objectives as records; none while the problem is still being prepared.

    Raises:
        RunCorrupt: One of them is none.
    """
    return _made(Objective, manifest, "objectives")


def constraints_in(manifest: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Return a manifest's constraints as records; none while the problem is still being prepared.

    Raises:
        RunCorrupt: One of them is none.
    """
    return _made(Constraint, manifest, "constraints")


def blocks_in(manifest: Mapping[str, Any]) -> Blocks | None:
    """Return what a manifest says of blocks; None if scores are no means over any.

    Raises:
        RunCorrupt: They cannot be any.
    """
    plain = manifest.get("blocks")
    try:
        return None if plain is None else Blocks.from_json(plain)
    except (KeyError, ValueError) as error:
        raise RunCorrupt(f"blocks: expected blocks of a search, found {error}") from error


def _made(kind: type[Record], manifest: Mapping[str, Any], key: str) -> tuple[Record, ...]:
    try:
        return tuple(kind(**plain) for plain in manifest.get(key, ()))
    except (TypeError, ValueError) as error:
        raise RunCorrupt(f"{key}: expected {key} of a search, found {error}") from error


def space_in(manifest: Mapping[str, Any]) -> Space | None:
    """Return a manifest's genes as a space, whose keys are the search's own; None while the problem is prepared.

    Raises:
        RunCorrupt: They cannot be any.
    """
    genes = manifest.get("genes")
    try:
        return None if genes is None else Space(tuple(Gene(**each) for each in genes))
    except (ContractError, TypeError, ValueError, OverflowError) as error:
        raise RunCorrupt(f"genes: expected the genes of a search, found {error}") from error


def read_config(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that is in force.

    Raises:
        RunCorrupt: It cannot be read, or is none of those that the manifest knows.
    """
    path = folder / "config.resolved.json"
    plain = read_json(path)
    _checked(plain, CONFIG, path, "restore the file from a copy")
    known = manifest.get("configs")
    if known is not None and fingerprint(plain) not in known:
        raise RunCorrupt(
            f"{path}: the file was altered since it was written; restore it from a copy, and give what shall change "
            "to `emoprune resume RUN --set KEY=VALUE`"
        )
    return plain


def read_records(path: Path, *, sealed: bool) -> list[dict[str, Any]]:
    """Return the lines of one of `JOURNALS`, checked.

    Raises:
        RunCorrupt: A line holds something else, or was altered.
    """
    return [parsed_record(path, position, line, sealed=sealed) for position, line in enumerate(finished_lines(path), 1)]


def parsed_record(path: Path, position: int, line: bytes, *, sealed: bool) -> dict[str, Any]:
    """Return what a line of one of `JOURNALS` holds, checked.

    Raises:
        RunCorrupt: It holds something else, or was altered.
    """
    plain = parsed_line(path, position, line, sealed=sealed)
    _checked(plain, JOURNALS[path.name], f"{path}:{position}")
    return plain


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, checked.

    Raises:
        RunCorrupt: It is damaged, or holds something else.
    """
    body = read_checked(path)
    _checked(body, CHECKPOINT, path)
    counted, next_id = body["generation"]["evaluated"], body["evolution"]["next_id"]
    if counted != next_id:
        raise RunCorrupt(f"{path}: evolution.next_id: expected {counted}, as many as were evaluated, found {next_id}")
    return body


def read_starts(path: Path) -> dict[str, list[list[int]]]:
    """Return the genomes that a search began with, by the run they come from.

    Raises:
        RunCorrupt: The file was altered.
    """
    body = read_checked(path)
    _checked(body, STARTS, path, "restore the file from a copy")
    return body
