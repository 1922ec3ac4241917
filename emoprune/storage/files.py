"""Files and folders that appear whole or not at all, and what a killed process leaves of those that did not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from emoprune.errors import EmopruneError, RunCorrupt, StorageError, TrustError

__all__ = [
    "OF_THE_DISK",
    "abandoned",
    "alive",
    "check_lockable",
    "content_of",
    "guarded",
    "opened",
    "unfinished",
    "write_atomically",
]

DAY = 86_400.0  # seconds after which what another machine left unfinished counts as abandoned

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
OF_THE_DISK = _FULL | {errno.EROFS, errno.EIO}  # whatever was written

_UNFINISHED = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.(tmp|partial)", re.DOTALL)


@contextlib.contextmanager
def guarded(path: Path, size: int = 0) -> Iterator[None]:
    """Turn an OSError at `path`, where `size` bytes are written, into a StorageError that says what to do."""
    try:
        yield
    except EmopruneError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            what = f"the disk is full; free at least {_megabytes(size)}, better some times as much,"
        elif error.errno in _REFUSED:
            what = "writing is not permitted; check the folder's owner and mount"
        elif error.errno == errno.ENOENT:
            raise StorageError(
                f"cannot write {path}: the folder is gone, removed or moved by somebody; put it back and resume the "
                "run with `emoprune resume`, or begin it again"
            ) from error
        else:
            what = f"{error.strerror or error}; check the disk"
        raise StorageError(f"cannot write {path}: {what} and resume the run. Nothing finished is lost") from error


def _megabytes(size: int) -> str:
    return f"{max(0.1, size / 1e6):.1f} MB"


def unfinished(path: Path, ending: str) -> Path:
    """Return the hidden place beside `path` at which this process makes it, until it can take its name.

    Args:
        path: What will be there.
        ending: `tmp` for a file, `partial` for a folder.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.{ending}")


def _machine() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def abandoned(path: Path) -> bool:
    """Whether what lies at `path` was left unfinished by a process that is no more.

    A process of another machine, or of an earlier version, which did not leave its number, is given a day.
    """
    made = _UNFINISHED.fullmatch(path.name)
    if made is not None and made[1] == _machine():
        return not alive(int(made[2]))
    try:
        return time.time() - path.stat().st_mtime > DAY
    except FileNotFoundError:  # it was finished meanwhile
        return False


def alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` so that a reader, or a crash, sees either the old content or the new one.

    Raises:
        StorageError: The disk is full, read-only or gone; the old file is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = unfinished(path, "tmp")
    with guarded(path, len(data)):
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync_folder(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def opened(path: Path, flags: int) -> BinaryIO:
    """Open a file with the flags of `os.open`, appending or reading; what a link leads to is not opened.

    Raises:
        TrustError: `path` is a symbolic link, or would be written and has another name too.
        RunCorrupt: It is a folder, a pipe or the like.
        OSError: It cannot be opened.
    """
    try:
        # Without waiting: a pipe that nobody writes to would block for ever.
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise TrustError(
                f"{path} is a symbolic link, which is not followed; remove it, or put in its place what it leads to"
            ) from error
        raise
    try:
        _check_opened(path, os.fstat(handle), writing=bool(flags & (os.O_WRONLY | os.O_RDWR)))
    except EmopruneError:
        os.close(handle)
        raise
    mode = "ab" if flags & os.O_APPEND else "r+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb"
    return os.fdopen(handle, mode)  # type: ignore[return-value]  # typeshed cannot know that the mode is binary


def _check_opened(path: Path, found: os.stat_result, *, writing: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RunCorrupt(f"{path}: expected a file, found a folder or something else; restore the file from a copy")
    if writing and found.st_nlink > 1:
        raise TrustError(
            f"{path} has another name too, a hard link, so that writing to it could change a file outside the run; "
            f"give the run a file of its own: copy the file with `cp`, then `mv` the copy over {path.name}"
        )


def check_lockable(path: Path) -> None:
    """Refuse to lock a file that is not the run's alone: the lock empties it.

    Raises:
        TrustError: `path` is a symbolic link or has another name too.
        RunCorrupt: It is a folder, a pipe or the like.
    """
    with contextlib.suppress(FileNotFoundError):
        opened(path, os.O_WRONLY).close()


def content_of(path: Path) -> bytes:
    """Return what is in a file, opened as `opened` does."""
    with opened(path, os.O_RDONLY) as file:
        return file.read()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
