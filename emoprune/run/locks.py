"""A folder in a run that appears only when it is whole, and work on a run that one process does at a time."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from emoprune.errors import RunLocked
from emoprune.run.leftovers import remove
from emoprune.run.links import check_lies_at
from emoprune.storage import OF_THE_DISK, abandoned, check_lockable, guarded, unfinished

__all__ = ["alone", "whole"]


@contextmanager
def alone(run: Path, work: str, *, seconds: float = 0) -> Iterator[None]:
    """Do `work` on the run in the folder `run` in no more than one process at a time; the run's own lock stays free.

    Raises:
        RunLocked: Another process is at it, after `seconds` still.
        StorageError: The lock cannot be written.
    """
    place = run / ".locks" / f"{work}.lock"
    with guarded(place):
        place.parent.mkdir(exist_ok=True)
    lock = FileLock(place, timeout=seconds)
    with guarded(place):
        check_lockable(place)
        try:
            lock.acquire()
        except Timeout:  # an OSError, which must not be taken for the disk's
            raise RunLocked(f"run {run.name}: another process is at {work} already; wait for it or stop it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it becomes `folder`, replacing an older one, when the block ends well.

    What a killed process left half-written is removed first.

    Raises:
        StorageError: The disk is full, read-only or gone; an older folder is untouched.
        TrustError: A link took the place of the folder, or of the one that it lies in, meanwhile.
    """
    remove(_left_of(folder))
    partial = unfinished(folder, "partial")
    with guarded(folder):
        partial.mkdir(parents=True)
    home = folder.parent.resolve()
    try:
        yield partial
        check_lies_at(folder, home / folder.name)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError) and _is_about(error, partial):
            with guarded(folder):
                raise
        raise
    with guarded(folder):
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def _left_of(folder: Path) -> list[Path]:
    """Return what killed processes left of `folder`, also those of versions that always gave it the same name."""
    earlier = folder.with_name(f".{folder.name}.partial")
    others = folder.parent.glob(f".{glob.escape(folder.name)}.*.partial")
    return [*([earlier] if earlier.exists() else []), *(path for path in others if abandoned(path))]


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether an error is of the disk that `folder` is on; one about another file, such as data, is not."""
    if error.filename is not None:
        return Path(os.fsdecode(error.filename)).is_relative_to(folder)
    return error.errno in OF_THE_DISK
