"""Damage to files as disks, editors and people do it: changed bytes, lines, keys and numbers, drawn from a seed."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.errors import RunCorrupt
from emoprune.storage import sealed_line, write_checked, write_sealed

__all__ = ["MUTATIONS", "RESEALED", "files_of", "line_removed", "mutate", "reseal", "truncated", "unend", "unseal"]

Rng = np.random.Generator
NUMBER = re.compile(rb"(?<=[:\[,\s])-?\d+(?:\.\d+)?(?=[,\]}\s])")
KEY = re.compile(rb'"([A-Za-z_][\w.-]*)"\s*:')
MEMBER = re.compile(rb'"[A-Za-z_][\w.-]*"\s*:\s*(?:-?[\d.]+(?:e[+-]?\d+)?|"[^"]*"|null|true|false),?')


def _place(data: bytes, rng: Rng) -> int:
    return int(rng.integers(len(data)))


def flipped(data: bytes, rng: Rng) -> bytes:
    """Flip one bit."""
    place = _place(data, rng)
    return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]


def byte_removed(data: bytes, rng: Rng) -> bytes:
    """Remove one byte."""
    place = _place(data, rng)
    return data[:place] + data[place + 1 :]


def byte_doubled(data: bytes, rng: Rng) -> bytes:
    """Write one byte twice."""
    place = _place(data, rng)
    return data[:place] + data[place : place + 1] + data[place:]


def _replaced(pattern: re.Pattern[bytes], data: bytes, rng: Rng, new: Callable[[re.Match[bytes]], bytes]) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data
    chosen = found[int(rng.integers(len(found)))]
    return data[: chosen.start()] + new(chosen) + data[chosen.end() :]


def number_changed(data: bytes, rng: Rng) -> bytes:
    """Make one number 50 more, or its negative."""
    return _replaced(NUMBER, data, rng, lambda found: b"-50" if rng.random() < 0.5 else b"5" + found[0].lstrip(b"-"))


def too_large(data: bytes, rng: Rng) -> bytes:
    """Put a number that no float can hold in the place of one."""
    return _replaced(NUMBER, data, rng, lambda _: b"1e999")


def nothing(data: bytes, rng: Rng) -> bytes:
    """Put null in the place of a number."""
    return _replaced(NUMBER, data, rng, lambda _: b"null")


def word_for_number(data: bytes, rng: Rng) -> bytes:
    """Put a text in the place of a number."""
    return _replaced(NUMBER, data, rng, lambda _: b'"many"')


def huge(data: bytes, rng: Rng) -> bytes:
    """Put a whole number of many digits in the place of one."""
    return _replaced(NUMBER, data, rng, lambda _: b"9" * 40)


def key_renamed(data: bytes, rng: Rng) -> bytes:
    """Put a letter behind one key."""
    return _replaced(KEY, data, rng, lambda found: found[0].replace(found[1], found[1] + b"x"))


def key_removed(data: bytes, rng: Rng) -> bytes:
    """Remove one key with its value."""
    return _replaced(MEMBER, data, rng, lambda _: b"")


def _lines(data: bytes, rng: Rng, new: Callable[[bytes], bytes]) -> bytes:
    lines = data.splitlines(keepends=True)
    place = int(rng.integers(len(lines)))
    return b"".join([*lines[:place], new(lines[place]), *lines[place + 1 :]])


def line_removed(data: bytes, rng: Rng) -> bytes:
    """Remove one line."""
    return _lines(data, rng, lambda _: b"")


def line_doubled(data: bytes, rng: Rng) -> bytes:
    """Write one line twice."""
    return _lines(data, rng, lambda line: line + line)


def truncated(data: bytes, rng: Rng) -> bytes:
    """Cut the end off."""
    return data[: _place(data, rng)]


def brackets(data: bytes, rng: Rng) -> bytes:
    """Put a line of 200,000 brackets in the place of one."""
    return _lines(data, rng, lambda _: b"[" * 200_000 + b"\n")


def nested(data: bytes, rng: Rng) -> bytes:
    """Put a list in lists, as deep as it can just be read, in the place of one number."""
    return _replaced(NUMBER, data, rng, lambda _: b"[" * 300 + b"]" * 300)


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    flipped,
    byte_removed,
    byte_doubled,
    number_changed,
    too_large,
    nothing,
    word_for_number,
    huge,
    key_renamed,
    key_removed,
    line_removed,
    line_doubled,
    truncated,
    brackets,
    nested,
)
RESEALED = (number_changed, too_large, nothing, word_for_number, huge, key_renamed, key_removed, nested)


def mutate(path: Path, mutation: Callable[[bytes, Rng], bytes], rng: Rng) -> bool:
    """Damage a file, and say whether it is another one now."""
    before = path.read_bytes()
    after = mutation(before, rng) if before else before
    path.write_bytes(after)
    return before != after


def reseal(path: Path) -> None:
    """Give a file the checksums that fit what it holds now, as far as it can still be parsed."""
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(_resealed(line) + b"\n" for line in path.read_bytes().splitlines()))
        return
    plain = _parsed(path.read_bytes())
    if not isinstance(plain, dict):
        return
    plain.pop("checksum", None)
    if isinstance(plain.get("body"), dict):
        with contextlib.suppress(RunCorrupt):  # it reads what it wrote, which is damaged
            write_checked(path, plain["body"])
    else:
        write_sealed(path, plain)


def _resealed(line: bytes) -> bytes:
    plain = _parsed(line)
    if not isinstance(plain, dict):
        return line
    plain.pop("checksum", None)
    return sealed_line(plain)


def unend(run: Path) -> None:
    """Let a run not know what it held when it ended, as one that was killed before or that an earlier version made."""
    plain = json.loads((run / "manifest.json").read_bytes())
    write_sealed(run / "manifest.json", {name: value for name, value in plain.items() if name != "held"})


def unseal(run: Path) -> None:
    """Make of a run one of the first format, whose files had no checksums."""
    for path in files_of(run):
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
            path.write_text("".join(json.dumps(_plain(line)) + "\n" for line in lines), encoding="utf-8")
        elif path.suffix == ".json" and path.parent.name != "checkpoints":
            path.write_text(json.dumps(_plain(json.loads(path.read_bytes())), indent=2), encoding="utf-8")


def _plain(plain: dict[str, Any]) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in plain.items()
        if name not in {"checksum", "configs", "given", "held", "pareto.csv"}
    }
    return {**kept, "schema_version": 1} if "schema_version" in plain else kept


def _parsed(data: bytes) -> Any:
    try:
        plain = json.loads(data)
        json.dumps(plain, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return plain


def files_of(run: Path) -> Iterator[Path]:
    """Yield what emoprune itself wrote into a run and reads again."""
    for path in sorted(run.rglob("*")):
        inside = path.relative_to(run).parts[0]
        if path.is_file() and inside not in {
            "problem",
            "exports",
            "recovered",
            ".lock",
            ".locks",
            "report.html",
            "audit",
        }:
            yield path
