"""Files that survive a crash: atomic replacement, append-only JSON lines, checksummed checkpoints."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from emoprune.errors import EmopruneError, RunCorrupt, StorageError, TrustError

__all__ = [
    "OF_THE_DISK",
    "Journal",
    "as_text",
    "finished_lines",
    "guarded",
    "opened",
    "parsed_line",
    "read_checked",
    "read_json",
    "read_lines",
    "write_atomically",
    "write_checked",
]

TAIL = 1 << 16  # bytes read at a time when looking for the end of the last whole line

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REMEDY = "restore the file, or leave the line out with `emoprune doctor RUN --repair`"
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
OF_THE_DISK = _FULL | {errno.EROFS, errno.EIO}  # whatever was written


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
            what = "the folder is gone; restore it"
        else:
            what = f"{error.strerror or error}; check the disk"
        raise StorageError(f"cannot write {path}: {what} and resume the run. Nothing finished is lost") from error


def _megabytes(size: int) -> str:
    return f"{max(0.1, size / 1e6):.1f} MB"


def as_text(value: object) -> str:
    """Return compact JSON with floats that read back to the same bits; NaN and infinities are refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def opened(path: Path, flags: int) -> BinaryIO:
    """Open a file with the flags of `os.open`, appending or reading; what a link leads to is not opened.

    Raises:
        TrustError: `path` is a symbolic link.
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
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RunCorrupt(f"{path}: expected a file, found a folder or something else; restore the file from a copy")
    mode = "ab" if flags & os.O_APPEND else "r+b" if flags & os.O_RDWR else "rb"
    return os.fdopen(handle, mode)  # type: ignore[return-value]  # typeshed cannot know that the mode is binary


def _content(path: Path) -> bytes:
    with opened(path, os.O_RDONLY) as file:
        return file.read()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` so that a reader, or a crash, sees either the old content or the new one.

    Raises:
        StorageError: The disk is full, read-only or gone; the old file is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Raises:
        RunCorrupt: The file is missing or is not one JSON object.
    """
    try:
        plain = json.loads(_content(path).decode())
    except EmopruneError:
        raise
    except (OSError, ValueError) as error:
        raise RunCorrupt(f"cannot read {path}: {error}") from error
    if not isinstance(plain, dict):
        raise RunCorrupt(f"{path}: expected a JSON object, found {type(plain).__name__}")
    return plain


def write_checked(path: Path, body: Mapping[str, Any]) -> None:
    """Write `body` atomically with a checksum of itself, and read it back."""
    text = as_text(body)
    write_atomically(path, as_text({"schema_version": 1, "sha256": _digest(text)})[:-1] + f',"body":{text}}}\n')
    read_checked(path)


def read_checked(path: Path) -> dict[str, Any]:
    """Return the body that `write_checked` wrote.

    Raises:
        RunCorrupt: The file is truncated, altered, or from a newer version.
    """
    plain = read_json(path)
    if plain.get("schema_version") != 1:
        raise RunCorrupt(f"{path}: expected schema_version 1, found {plain.get('schema_version')!r}; update emoprune")
    body = plain.get("body")
    if not isinstance(body, dict) or _digest(as_text(body)) != plain.get("sha256"):
        raise RunCorrupt(f"{path}: the checksum does not fit its content")
    return body


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """An append-only file of JSON lines with one writer; what `append` returned from is on the disk.

    Opening it cuts off a last line that a crash left unfinished and keeps the fragment beside the file, named `.torn`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn = _cut_torn_tail(path)
        with guarded(path):
            self._file: BinaryIO = opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write the lines and wait until the disk has them.

        Raises:
            StorageError: They could not be written; the file then ends where it ended before.
        """
        data = "".join(as_text(line) + "\n" for line in lines).encode()
        if not data:
            return
        end = self._file.tell()
        with guarded(self._path, len(data)):
            try:
                self._file.write(data)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                self._give_up(end)
                raise

    def _give_up(self, end: int) -> None:
        """Reopen at the old end: the buffer of a file whose write failed would be written again on close."""
        handle = os.dup(self._file.fileno())
        with contextlib.suppress(OSError):  # the failed write is being reported already
            self._file.close()
        with contextlib.suppress(OSError):  # a torn tail is cut off by the next writer as well
            os.ftruncate(handle, end)
        self._file = os.fdopen(handle, "ab")

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        with guarded(self._path):
            self._file.close()


def _cut_torn_tail(path: Path) -> bytes:
    """Cut an unterminated last line off `path` and return it; empty if the file ends well or is not there."""
    if not path.is_file():
        return b""
    with guarded(path), opened(path, os.O_RDWR) as file:
        fragment = _after_last_newline(file)
        if fragment:
            with opened(path.with_name(path.name + ".torn"), os.O_WRONLY | os.O_CREAT | os.O_APPEND) as aside:
                aside.write(fragment + b"\n")
            file.truncate(file.seek(0, os.SEEK_END) - len(fragment))
    return fragment


def _after_last_newline(file: BinaryIO) -> bytes:
    """Read backwards, because a history can be large and its last line is not."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start > 0 and b"\n" not in tail:
        start = max(0, start - TAIL)
        file.seek(start)
        tail = file.read(end - start)
    return tail[tail.rfind(b"\n") + 1 :]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the finished lines of a journal; a last line without its end is still being written and is left out.

    Raises:
        RunCorrupt: A finished line is not a JSON object; the message names its number.
    """
    return [parsed_line(path, number, line) for number, line in enumerate(finished_lines(path), 1)]


def finished_lines(path: Path) -> list[bytes]:
    """Return the lines of a journal as they are, without their ends; none if it is not there.

    A last line without its end is still being written, or was torn, and is left out.
    """
    finished, _, _ = _content(path).rpartition(b"\n") if path.exists() else (b"", b"", b"")
    return finished.split(b"\n") if finished else []


def parsed_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the object in line `number` of a journal.

    Raises:
        RunCorrupt: It is none.
    """
    try:
        plain = json.loads(line)
    except ValueError as error:
        raise RunCorrupt(f"{path}:{number}: expected one JSON object, found garbage ({error}); {_REMEDY}") from error
    if not isinstance(plain, dict):
        raise RunCorrupt(f"{path}:{number}: expected one JSON object, found {type(plain).__name__}; {_REMEDY}")
    return plain
