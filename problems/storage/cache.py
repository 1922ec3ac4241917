"""The user's cache folder, and the right to write one of its files, which one process has at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["cache_folder", "writing_alone"]

_log = logging.getLogger("emoprune")


def cache_folder() -> Path:
    """Return `$EMOPRUNE_CACHE`, else `$XDG_CACHE_HOME/emoprune`, else `~/.cache/emoprune`; it may not exist yet."""
    own = os.environ.get("EMOPRUNE_CACHE")
    if own:
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "emoprune"


@contextmanager
def writing_alone(path: Path, seconds: float) -> Iterator[bool]:
    """Hold the lock of a file or folder in the cache, and say whether it could be had; why not is logged.

    Args:
        path: What is going to be written; the folder it lies in is made.
        seconds: How long to wait for another process.
    """
    lock, held = FileLock(path.with_name(f"{path.name}.lock"), timeout=seconds), False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        held = True
    except Timeout:
        _log.warning("another process has been making %s for %.0f s; making it here as well", path.name, seconds)
    except OSError as error:
        _log.warning("%s cannot be kept in %s (%s); it is made for this run alone", path.name, path.parent, error)
    try:
        yield held
    finally:
        lock.release()
