"""Work on a run that one process does at a time, and folders in it that appear only when they are whole."""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from emoprune.errors import EmopruneError, RunLocked
from emoprune.run.leftovers import remove
from emoprune.run.links import check_lies_at
from emoprune.storage import OF_THE_DISK, abandoned, check_lockable, content_of, guarded, unfinished, write_atomically

__all__ = ["RunLock", "alone", "whole"]


class RunLock:
    """The lock of the one process that writes the run in a folder; the system gives it back when that process dies."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._lock = FileLock(run / ".lock", timeout=0)

    def acquire(self) -> None:
        """Take it.

        Raises:
            RunLocked: Another process writes the run; the message says which.
        """
        with guarded(self._run / ".lock"):
            check_lockable(self._run / ".lock")
            try:
                self._lock.acquire()
            except Timeout:  # an OSError, which must not be taken for the disk's
                raise RunLocked(
                    f"run {self._run.name} is being written by {self._holder()}; wait for it or stop it"
                ) from None

    def sign(self) -> None:
        """Say who writes, for those who are turned away."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
        write_atomically(self._run / ".lock.json", json.dumps(who))

    def _holder(self) -> str:
        try:
            who = json.loads(content_of(self._run / ".lock.json"))
            return f"process {who['pid']} on {who['host']} since {who['since']}"
        except (OSError, ValueError, KeyError, TypeError, EmopruneError):
            return "another process"

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


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
