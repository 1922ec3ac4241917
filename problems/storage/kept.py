"""What a run makes once and keeps in its folder: files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from emoprune.errors import ConfigError
from emoprune.storage import write_atomically

__all__ = ["kept", "kept_json", "read_sealed", "sealed_json", "write_json"]

Read = TypeVar("Read")

_CHECKSUM = "sha256"
_log = logging.getLogger(__name__)


def write_json(path: Path, plain: Any, *, ensure_ascii: bool = True, end: str = "\n") -> None:
    """Write plain data as JSON; NaN is refused because JSON has none.

    Raises:
        StorageError: The disk is full, read-only or gone.
    """
    text = json.dumps(plain, indent=1, ensure_ascii=ensure_ascii, allow_nan=False)
    write_atomically(path, text + end)


def kept_json(path: Path, make: Callable[[], Any], *, refuse_torn: bool = False, end: str = "\n") -> Any:
    """Return the plain data at `path`, without a checksum; made and kept there at first, and where they were torn.

    Raises:
        ConfigError: They were torn, and that is to be refused.
        StorageError: The disk is full, read-only or gone.
    """
    return kept(path, lambda: write_json(path, make(), end=end), json.loads, refuse_torn=refuse_torn)


def kept(path: Path, write: Callable[[], None], read: Callable[[bytes], Read], *, refuse_torn: bool = False) -> Read:
    """Return what lies at `path`, written there at first; `read` raises a ValueError of a file that was torn.

    A kill could tear files before they were replaced as a whole. They are made again, or refused.

    Raises:
        ConfigError: The file was torn, and that is to be refused.
    """
    if path.exists():
        try:
            return read(path.read_bytes())
        except ValueError as error:
            if refuse_torn:
                raise ConfigError(f"{path.name} cannot be read ({error}); remove it and it is made again") from error
            _log.warning("%s was torn (%s) and is made again", path.name, error)
    write()
    return read(path.read_bytes())


def sealed_json(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the plain data at `path`, with a checksum; made and kept there at first.

    Raises:
        ConfigError: The file is damaged.
        StorageError: The disk is full, read-only or gone.
    """
    if not path.exists():
        content = dict(make())
        write_json(path, {**content, _CHECKSUM: _checksum(content)})
    return read_sealed(path)


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the plain data that `sealed_json` wrote.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        expected = found.pop(_CHECKSUM)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error!r}; remove it and it is made again") from error
    if _checksum(found) != expected:
        raise ConfigError(f"{path.name} is damaged: its checksum does not fit; remove it and it is made again")
    return found


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
