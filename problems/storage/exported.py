"""Folders that exports are written into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emoprune.errors import StorageError

__all__ = ["about_folder"]


@contextmanager
def about_folder(folder: Path) -> Iterator[None]:
    """Turn the disk's errors into one that names the folder; unlike a run, an export can go to another place.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"export: cannot write {folder.name!r}: {error}; free space, or export to a place that can be written"
        ) from error
