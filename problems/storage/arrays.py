"""Arrays as safetensors files that show whether they are still what was written."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from emoprune.errors import ConfigError

__all__ = ["Weights", "load_weights", "save_weights", "weights_origin", "write_whole"]

Weights = Mapping[str, NDArray[Any]]


_CHECKSUM = "sha256"


def save_weights(path: Path, weights: Weights, origin: Mapping[str, str]) -> None:
    """Write weights and where they come from as safetensors; the file appears whole or not at all."""
    write_whole(path, save(dict(weights), {**origin, _CHECKSUM: _checksum(weights, origin)}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, whatever ends the process meanwhile."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_weights(path: Path) -> Weights:
    """Return the weights that `save_weights` wrote.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        found: dict[str, NDArray[Any]] = load_file(path)
        metadata = _metadata(path)
    except safetensors.SafetensorError as error:
        raise ConfigError(
            f"{path.name} cannot be read as safetensors: {error}; remove it and it is made again"
        ) from error
    expected = metadata.pop(_CHECKSUM, "none")
    if _checksum(found, metadata) != expected:
        raise ConfigError(f"{path.name} is damaged: its checksum does not fit; remove it and it is made again")
    return found


def weights_origin(path: Path) -> dict[str, str]:
    """Return what `save_weights` wrote about where the weights come from."""
    return {key: value for key, value in _metadata(path).items() if key != _CHECKSUM}


def _metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="numpy") as opened:
        return dict(opened.metadata() or {})


def _checksum(weights: Weights, origin: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(origin.items())).encode())
    for name, array in sorted(weights.items()):
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
