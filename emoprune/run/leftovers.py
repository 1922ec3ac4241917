"""What killed processes left half-written in a run's folder, and beside it; what a living one is writing stays."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from emoprune.storage import abandoned, guarded

__all__ = ["leftovers_beside", "leftovers_in", "remove"]

_INSIDE = (".*.tmp", "checkpoints/.*.tmp", "exports/.*.partial", "recovered/.*.partial", "stages/.*.partial")


def leftovers_in(run: Path) -> list[Path]:
    """Return the abandoned files and folders in a run."""
    return [path for pattern in _INSIDE for path in run.glob(pattern) if abandoned(path)]


def leftovers_beside(run: Path) -> list[Path]:
    """Return the abandoned folders beside a run: of runs that never began, and of repaired copies."""
    return [path for path in run.parent.glob(".*.partial") if abandoned(path)]


def remove(leftovers: Iterable[Path]) -> None:
    """Remove files and folders; one that somebody else removes meanwhile is no trouble.

    Raises:
        StorageError: One of them cannot be removed.
    """
    for path in leftovers:
        with guarded(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
