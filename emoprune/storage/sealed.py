"""JSON as it lies on the disk: finite numbers, bounded depth, in each object a checksum that says if it was altered.

The checksum guards against accidents and edits, not against somebody who computes it anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from emoprune.errors import EmopruneError, RunCorrupt
from emoprune.storage.files import content_of, write_atomically

__all__ = [
    "as_text",
    "fingerprint",
    "parsed",
    "read_checked",
    "read_json",
    "read_sealed",
    "sealed_line",
    "unsealed",
    "unsealed_object",
    "write_checked",
    "write_sealed",
]

SEAL = "checksum"
DEEPEST = 64  # levels of lists and objects
_LINE_END = re.compile(rb'[{,]"checksum":"([0-9a-f]{16})"\}')
_LINE_END_LENGTH = 31  # bytes


def as_text(value: object) -> str:
    """Return compact JSON with floats that read back to the same bits; NaN and infinities are refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def parsed(text: str | bytes) -> Any:
    """Return the value that JSON stands for.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or holds a number that is not finite.
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    """Refuse what later steps, which go into it one call for each level, could not go into."""
    level = [value]
    for _ in range(DEEPEST):
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            return
        level = [each for one in inner for each in (one.values() if isinstance(one, dict) else one)]
    raise ValueError("it is nested too deeply")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {digits[:20]}")
    return value


def _refused(name: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, found {name}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Raises:
        RunCorrupt: The file is missing or is not one JSON object.
    """
    try:
        plain = parsed(content_of(path).decode())
    except EmopruneError:
        raise
    except (OSError, ValueError) as error:
        raise RunCorrupt(f"cannot read {path}: {error}") from error
    if not isinstance(plain, dict):
        raise RunCorrupt(f"{path}: expected a JSON object, found {type(plain).__name__}")
    return plain


def fingerprint(value: object) -> str:
    """Return a short digest of plain data, whatever the white space in its file."""
    return _short(as_text(value).encode())


def _short(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def write_sealed(path: Path, plain: Mapping[str, Any], indent: int | None = 2) -> None:
    """Write an object atomically, with a checksum of its other members as the last one."""
    rest = {name: value for name, value in plain.items() if name != SEAL}
    text = json.dumps({**rest, SEAL: fingerprint(rest)}, indent=indent, allow_nan=False)
    write_atomically(path, text + "\n")


def read_sealed(path: Path, *, required: bool = False) -> dict[str, Any]:
    """Return the object that `write_sealed` wrote, without the checksum.

    Args:
        path: The file.
        required: Whether a file without a checksum, as earlier versions wrote them, is refused.

    Raises:
        RunCorrupt: The file cannot be read, or was altered.
    """
    return unsealed_object(path, read_json(path), required=required)


def unsealed_object(path: Path, plain: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Return an object that was read from `path` already as `read_sealed` returns it.

    Raises:
        RunCorrupt: The file was altered.
    """
    seal = plain.pop(SEAL, None)
    if seal is None and required:
        raise RunCorrupt(f"{path}: {SEAL}: expected one, found none: the file was altered since it was written")
    if seal is not None and seal != fingerprint(plain):
        raise RunCorrupt(f"{path}: {SEAL}: it does not fit the content: the file was altered since it was written")
    return plain


def sealed_line(plain: Mapping[str, Any]) -> bytes:
    """Return an object as one line without its end, its last member a checksum of the bytes before."""
    text = as_text(plain).encode()[:-1]
    return text + f'{"," if plain else ""}"{SEAL}":"{_short(text)}"}}'.encode()


def unsealed(line: bytes, plain: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Return what `sealed_line` was given.

    Args:
        line: What lies on the disk.
        plain: The same, parsed.
        required: Whether a line without a checksum is refused.

    Raises:
        ValueError: The line was altered.
    """
    seal = plain.pop(SEAL, None)
    if seal is None and not required:
        return plain
    end = _LINE_END.fullmatch(line[-_LINE_END_LENGTH:])
    if seal is None or end is None:
        raise ValueError(f"{SEAL}: expected one as the last member, found none: the line was altered")
    before = line[:-_LINE_END_LENGTH] + (b"{" if end[0].startswith(b"{") else b"")
    if end[1].decode() != _short(before):
        raise ValueError(f"{SEAL}: it does not fit the line: the line was altered since it was written")
    return plain


def write_checked(path: Path, body: Mapping[str, Any]) -> None:
    """Write `body` atomically with a checksum of itself, and read it back."""
    text = as_text(body)
    write_atomically(path, as_text({"schema_version": 1, "sha256": _digest(text)})[:-1] + f',"body":{text}}}\n')
    read_checked(path)


def read_checked(path: Path) -> dict[str, Any]:
    """Return the body that `write_checked` wrote.

    Raises:
        RunCorrupt: The file is truncated, altered, or from a newer version.
    """
    plain = read_json(path)
    if plain.get("schema_version") != 1:
        raise RunCorrupt(f"{path}: expected schema_version 1, found {plain.get('schema_version')!r}; update emoprune")
    body = plain.get("body")
    if not isinstance(body, dict) or _digest(as_text(body)) != plain.get("sha256"):
        raise RunCorrupt(f"{path}: the checksum does not fit its content")
    return body


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
