"""Trained weights of the built-in networks, made once and kept in the user's cache folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from emoprune.errors import ConfigError, StorageError
from emoprune.problems.storage.arrays import Weights, load_weights, save_weights, weights_origin
from emoprune.problems.storage.cache import cache_folder, writing_alone

__all__ = ["kept_or_made"]

WAIT = 1800.0  # seconds; longer than any built-in network takes to train

_log = logging.getLogger("emoprune")


def kept_or_made(origin: Mapping[str, str], make: Callable[[], Weights]) -> Weights:
    """Return the weights of that origin from the cache folder, or make them and keep them there.

    A second process that wants the same weights waits for the first. A damaged file is made again, and a folder that
    cannot be written is done without; both are logged to `emoprune` as warnings.

    Args:
        origin: Names everything the weights depend on; `network`, `data`, `epochs`, `seed` and `digest` are in the
            file's name.
        make: Called if there are none.
    """
    path = cache_folder() / "weights" / f"{_name(origin)}.safetensors"
    with writing_alone(path, WAIT) as held:
        found = _found(path, origin)
        if found is not None:
            return found
        made = make()
        if held:
            _keep(path, made, origin)
        return made


def _name(origin: Mapping[str, str]) -> str:
    parts = (origin["network"], origin["data"], f"{origin['epochs']}-epochs", f"seed-{origin['seed']}")
    plain = [re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip("-.")[-40:] for part in parts]
    return "_".join([*plain, origin["digest"][:16]])


def _found(path: Path, origin: Mapping[str, str]) -> Weights | None:
    try:
        if not path.exists():
            return None
        weights, found = load_weights(path), weights_origin(path)
    except (ConfigError, OSError) as error:
        _log.warning("kept weights are made again: %s", error)
        return None
    if found != dict(origin):
        _log.warning("kept weights are made again: %s was made from %s, expected %s", path.name, found, dict(origin))
        return None
    return weights


def _keep(path: Path, weights: Weights, origin: Mapping[str, str]) -> None:
    try:
        save_weights(path, weights, origin)
    except StorageError as error:  # minutes of training are not thrown away for a full disk
        cause = error.__cause__  # the rest of it is said of a run that ends
        _log.warning("weights cannot be kept as %s (%s); the run has its own copy", path, cause)
