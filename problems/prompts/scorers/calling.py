"""Calls to an HTTP endpoint: each within a time limit, repeated where that may help, so many at once and no more."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import urllib3

from emoprune.errors import ConfigError, EmopruneError

__all__ = ["Caller", "Endpoint", "EndpointFailed", "EndpointRefused"]

PASSING = (408, 425, 429, 500, 502, 503, 504)  # states of a server that may be over soon
REFUSING = (400, 413, 422, 501)  # a server that is there and does not take what it was sent, such as too long a text
LONGEST_PAUSE = 30.0  # seconds between two tries, whatever the server asks for
LARGEST = 64 * 2**20  # bytes of an answer


class EndpointFailed(EmopruneError, OSError):
    """An endpoint did not answer, or not with what was asked for."""

    exit_code = 6


class EndpointRefused(EndpointFailed):
    """An endpoint is there and does not take this request, now or later."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint whose completions come with log-probabilities.

    Args:
        url: Up to the version, as in `http://127.0.0.1:8000/v1`.
        model: What the endpoint calls the model.
        tokenizer: A model's name, as for `model`, whose tokenizer cuts the prompt; None cuts it into words.
        key_variable: The environment variable that holds the key, if one is needed.
        in_flight: How many calls one worker makes at once.
        time_limit: Seconds for one call, with all of its answer.
        retries: How often a call is repeated after a limit, a lost connection, or an answer that the server is busy.
        top: How many of the likeliest tokens are asked for.
        body: What else a request says, such as `{allowed_token_ids: [...]}`.
    """

    url: str
    model: str
    tokenizer: str | None = None
    key_variable: str | None = None
    in_flight: int = 4
    time_limit: float = 60.0
    retries: int = 5
    top: int = 20
    body: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"endpoint: url: expected one that begins with http:// or https://, found {self.url!r}")
        for name, least in (("in_flight", 1), ("retries", 0), ("top", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"endpoint: {name}: expected {least} or more, found {getattr(self, name)}")
        if not self.time_limit > 0:
            raise ConfigError(f"endpoint: time_limit: expected seconds above 0, found {self.time_limit}")

    @property
    def key(self) -> str | None:
        """The key, read where it is needed and written down nowhere.

        Raises:
            ConfigError: The variable is not set here.
        """
        if self.key_variable is None:
            return None
        found = os.environ.get(self.key_variable)
        if not found:
            raise ConfigError(f"endpoint: the environment variable {self.key_variable} is not set here")
        return found


class Caller:
    """Makes calls to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        headers = {"Content-Type": "application/json"}
        key = endpoint.key
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        pauses = urllib3.Retry(
            endpoint.retries,
            redirect=0,
            allowed_methods=None,
            status_forcelist=PASSING,
            backoff_factor=0.5,
            backoff_max=LONGEST_PAUSE,
            backoff_jitter=0.25,
            retry_after_max=int(LONGEST_PAUSE),
            raise_on_status=False,
        )
        limit = urllib3.Timeout(total=endpoint.time_limit)
        self._pool = urllib3.PoolManager(
            maxsize=endpoint.in_flight, block=True, headers=headers, timeout=limit, retries=pauses
        )

    def answers(self, bodies: Sequence[Mapping[str, Any]], path: str = "completions") -> list[Any]:
        """Return the endpoint's answers in the order of `bodies`, of which `in_flight` are asked at a time.

        Raises:
            EndpointRefused: The endpoint does not take one of them.
            EndpointFailed: A call failed for good; calls that are not begun are dropped.
        """
        with ThreadPoolExecutor(self._endpoint.in_flight) as threads:
            futures = [threads.submit(self._answer, path, body) for body in bodies]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    def _answer(self, path: str, body: Mapping[str, Any]) -> Any:
        where = f"{self._endpoint.url.rstrip('/')}/{path}"
        data = json.dumps({"model": self._endpoint.model, **body, **self._endpoint.body}).encode()
        for left in range(self._endpoint.retries, -1, -1):
            try:
                status, text = self._whole(where, data)
            except _TooSlow as error:  # urllib3's limit holds between two pieces of an answer, not for all of it
                if left:
                    continue
                raise EndpointFailed(f"endpoint {where}: {error}") from error
            except urllib3.exceptions.HTTPError as error:
                raise EndpointFailed(f"endpoint {where}: no answer: {_cause(error)}") from error
            return self._read(where, status, text)
        raise AssertionError("the last try returns or raises")

    def _whole(self, where: str, data: bytes) -> tuple[int, bytes]:
        # Tries and the pauses between them are urllib3's; what is counted here is the answer that came at last.
        response = self._pool.request("POST", where, body=data, preload_content=False)
        deadline = time.monotonic() + self._endpoint.time_limit
        parts, size = [], 0
        try:
            while part := response.read1(2**16):  # what is there already, without waiting for more
                parts.append(part)
                size += len(part)
                if time.monotonic() > deadline:
                    raise _TooSlow(f"the answer was not whole after {self._endpoint.time_limit:g} s")
                if size > LARGEST:
                    raise EndpointFailed(f"endpoint {where}: the answer is larger than {LARGEST:,} bytes")
        finally:
            response.close()
        return response.status, b"".join(parts)

    def _read(self, where: str, status: int, text: bytes) -> Any:
        shown = " ".join(text[:300].decode("utf-8", "replace").split())
        if status != 200:
            tried = f" after {self._endpoint.retries + 1} tries" if status in PASSING else ""
            failure = EndpointRefused if status in REFUSING else EndpointFailed
            raise failure(f"endpoint {where}: answered {status}{tried}: {shown}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise EndpointFailed(f"endpoint {where}: expected JSON, found {shown!r}") from error


class _TooSlow(Exception):
    """An answer that comes too slowly."""


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {str(reason)[:200]}"
