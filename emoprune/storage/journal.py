"""Append-only files of JSON lines: one writer, a checksum in every line, a torn tail that harms nobody."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from emoprune.errors import EmopruneError, RunCorrupt
from emoprune.storage.files import content_of, guarded, opened
from emoprune.storage.sealed import parsed, sealed_line, unsealed

__all__ = ["Journal", "finished_lines", "numbered_lines", "parsed_line", "read_lines"]

TAIL = 1 << 16  # bytes read at a time when looking for the end of the last whole line

_REMEDY = "restore the file, or leave the line out with `emoprune doctor RUN --repair`"


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
        data = b"".join(sealed_line(line) + b"\n" for line in lines)
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


def read_lines(path: Path, *, sealed: bool = False) -> list[dict[str, Any]]:
    """Return the finished lines of a journal; a last line without its end is still being written and is left out.

    Raises:
        RunCorrupt: As in `parsed_line`.
    """
    return [line for _, line in numbered_lines(path, sealed=sealed)]


def numbered_lines(path: Path, *, sealed: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the finished lines of a journal with their numbers, as `read_lines` returns them."""
    for number, line in enumerate(finished_lines(path), 1):
        yield number, parsed_line(path, number, line, sealed=sealed)


def finished_lines(path: Path) -> list[bytes]:
    """Return the lines of a journal as they are, without their ends; none if it is not there.

    A last line without its end is still being written, or was torn, and is left out.

    Raises:
        RunCorrupt: The file cannot be read.
    """
    try:
        finished, _, _ = content_of(path).rpartition(b"\n") if path.exists() else (b"", b"", b"")
    except EmopruneError:
        raise
    except OSError as error:
        raise RunCorrupt(f"cannot read {path}: {error}; restore the file from a copy") from error
    return finished.split(b"\n") if finished else []


def parsed_line(path: Path, number: int, line: bytes, *, sealed: bool = False) -> dict[str, Any]:
    """Return the object in line `number` of a journal, without its checksum.

    Args:
        path: The journal, for messages.
        number: Counted from 1.
        line: As it lies on the disk.
        sealed: Whether a line without a checksum, as earlier versions wrote them, is refused.

    Raises:
        RunCorrupt: It is no object, or was altered since it was written.
    """
    try:
        plain = parsed(line)
    except ValueError as error:
        raise RunCorrupt(f"{path}:{number}: expected one JSON object, found garbage ({error}); {_REMEDY}") from error
    if not isinstance(plain, dict):
        raise RunCorrupt(f"{path}:{number}: expected one JSON object, found {type(plain).__name__}; {_REMEDY}")
    try:
        return unsealed(line, plain, required=sealed)
    except ValueError as error:
        raise RunCorrupt(f"{path}:{number}: {error}; {_REMEDY}") from error
