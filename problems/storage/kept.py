"""What a run makes once and keeps in its folder: files that are there whole or not at all, and show any change."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from emoprune.errors import ConfigError
from emoprune.problems.storage.arrays import Weights, load_weights, save_weights, write_whole

__all__ = ["arrays_made_once", "kept_arrays", "kept_json", "plain_made_once", "read_plain"]

_CHECKSUM = "sha256"
_log = logging.getLogger(__name__)


def kept_json(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON object at `path`, without a checksum; made and kept there at first, and where it was torn."""

    def written() -> bytes:
        return (json.dumps(make(), indent=1) + "\n").encode()

    found: dict[str, Any] = _whole(path, written, json.loads)
    return found


def kept_arrays(path: Path, make: Callable[[], Weights]) -> Weights:
    """Return the arrays at `path`, without a checksum; made and kept there at first, and where they were torn."""
    found: Weights = _whole(path, lambda: save(dict(make())), load)
    return found


def _whole(path: Path, written: Callable[[], bytes], read: Callable[[bytes], Any]) -> Any:
    """Read what lies at `path`; a torn file, which a kill left before files were replaced as a whole, is made again."""
    if path.exists():
        try:
            return read(path.read_bytes())
        except (ValueError, SafetensorError) as error:
            _log.warning("%s was torn (%s) and is made again", path.name, error)
    write_whole(path, written())
    return read(path.read_bytes())


def arrays_made_once(path: Path, make: Callable[[], Weights]) -> Weights:
    """Return the arrays that are kept at `path`, made and kept there at first.

    Raises:
        ConfigError: The file is damaged.
    """
    if not path.exists():
        save_weights(path, make(), {})
    return load_weights(path)


def plain_made_once(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the plain data that are kept at `path` as JSON, made and kept there at first.

    Raises:
        ConfigError: The file is damaged.
    """
    if not path.exists():
        content = dict(make())
        write_whole(path, (json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=1) + "\n").encode())
    return read_plain(path)


def read_plain(path: Path) -> dict[str, Any]:
    """Return the plain data that `plain_made_once` wrote.

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
