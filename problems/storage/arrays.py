"""Arrays in safetensors files: made once and kept, and with a checksum where any change has to show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load, load_file, save

from emoprune.errors import ConfigError
from emoprune.problems.storage.kept import kept
from emoprune.storage import write_atomically

__all__ = ["Weights", "kept_arrays", "load_weights", "save_weights", "sealed_arrays", "weights_origin"]

Weights = Mapping[str, NDArray[Any]]

_CHECKSUM = "sha256"


def kept_arrays(path: Path, make: Callable[[], Weights]) -> Weights:
    """Return the arrays at `path`, without a checksum; made and kept there at first, and where they were torn.

    Raises:
        StorageError: The disk is full, read-only or gone.
    """
    return kept(path, lambda: write_atomically(path, save(dict(make()))), _loaded)


def _loaded(content: bytes) -> Weights:
    try:
        return load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error


def sealed_arrays(path: Path, make: Callable[[], Weights]) -> Weights:
    """Return the arrays at `path`, with a checksum; made and kept there at first.

    Raises:
        ConfigError: The file is damaged.
        StorageError: The disk is full, read-only or gone.
    """
    if not path.exists():
        save_weights(path, make(), {})
    return load_weights(path)


def save_weights(path: Path, weights: Weights, origin: Mapping[str, str]) -> None:
    """Write weights with a checksum and where they come from; the file appears whole or not at all.

    Raises:
        StorageError: The disk is full, read-only or gone.
    """
    write_atomically(path, save(dict(weights), {**origin, _CHECKSUM: _checksum(weights, origin)}))


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
