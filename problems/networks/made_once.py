"""What a run makes once and keeps in its folder: files that are there whole or not at all, and show any change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.networks.weights import Weights, load_weights, save_weights, write_whole

__all__ = ["arrays_made_once", "plain_made_once", "read_plain"]

_CHECKSUM = "sha256"


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
