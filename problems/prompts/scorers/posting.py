"""One request over HTTP, with one time limit from its connection to the last byte of its answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

__all__ = ["Posted", "Poster", "TooSlow"]

PIECE = 2**16  # bytes that are read at once, at most


class TooSlow(urllib3.exceptions.HTTPError):
    """An answer was not whole in time."""


@dataclass(frozen=True, slots=True, eq=False)
class Posted:
    """What a server answered: the response, for its status and headers, and the body."""

    response: urllib3.BaseHTTPResponse
    body: bytes

    @property
    def status(self) -> int:
        """The status, such as 200."""
        return self.response.status


class Poster:
    """Posts to servers, each request once: whoever wants another try asks again.

    Args:
        at_once: How many connections are kept.
        time_limit: Seconds for a request, with all of its answer.
        most_bytes: After how many bytes an answer is not read on.
        headers: What each request says of itself.
    """

    def __init__(self, at_once: int, time_limit: float, most_bytes: int, headers: Mapping[str, str]) -> None:
        self._limit, self._most = time_limit, most_bytes
        self._pool = urllib3.PoolManager(
            maxsize=at_once, block=True, headers=headers, timeout=urllib3.Timeout(total=time_limit)
        )
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def posted(self, where: str, data: bytes) -> Posted:
        """Return what is answered; a body that is too long is cut off behind `most_bytes`.

        Raises:
            TooSlow: The answer is not whole within the limit.
            urllib3.exceptions.HTTPError: There is none, or the connection is lost before it is whole.
        """
        deadline = time.monotonic() + self._limit
        try:
            posted = self._read(where, data)
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() < deadline:
                raise
            raise TooSlow(f"the answer was not whole after {self._limit:g} s") from error
        if time.monotonic() >= deadline:  # what was cut off may look like an answer that ended
            raise TooSlow(f"the answer was not whole after {self._limit:g} s")
        return posted

    def _read(self, where: str, data: bytes) -> Posted:
        response = self._pool.request("POST", where, body=data, preload_content=False, retries=False, redirect=False)
        limit = cast("_Limited", response.connection).limit
        parts, size = [], 0
        try:
            while size <= self._most and (part := response.read1(PIECE)):  # without waiting for more
                parts.append(part)
                size += len(part)
        finally:
            limit.cancel()
            response.close()
            response.release_conn()  # else a connection that was not read to its end is missing from the pool for good
        return Posted(response, b"".join(parts))


class _Limited(HTTPConnection):
    """A connection that is cut off when a time is over, which urllib3 knows only between two pieces of an answer."""

    limit: threading.Timer

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 overrides it itself
        """Return the response once its headers are there; the time runs on until `limit` is cancelled."""
        self.limit = threading.Timer(self.timeout or 0, _cut_off, [self.sock])
        self.limit.daemon = True
        self.limit.start()
        try:
            return super().getresponse()
        except BaseException:
            self.limit.cancel()
            raise


class _SecurelyLimited(_Limited, HTTPSConnection):
    """The same with encryption."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Limited


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecurelyLimited


def _cut_off(connected: socket.socket) -> None:
    with suppress(OSError):  # it is closed already, so nobody reads from it any more
        # Not the method of an encrypted socket, which would take its state away from whoever reads.
        socket.socket.shutdown(connected, socket.SHUT_RD)
