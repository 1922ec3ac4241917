"""Calls to an HTTP endpoint: each within a time limit, repeated where that may help, so many at once and no more."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import urllib3

from emoprune.errors import ConfigError, EmopruneError
from emoprune.problems.prompts.scorers.ledger import Ledger
from emoprune.problems.prompts.scorers.posting import Poster, TooSlow

__all__ = ["Caller", "Endpoint", "EndpointFailed", "EndpointRefused", "usage_of"]

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
    """An OpenAI-compatible endpoint, of completions that come with log-probabilities or of chats.

    Args:
        url: Up to the version, as in `http://127.0.0.1:8000/v1`.
        model: What the endpoint calls the model.
        api: completions, or chat: prompts are messages then, and answers are written unless `answering` is chosen.
        tokenizer: A model's name, as for `model`, whose tokenizer cuts the prompt; None cuts it into words.
        key_variable: The environment variable that holds the key, if one is needed.
        in_flight: How many calls one worker makes at once.
        time_limit: Seconds for one try of a call, from its connection to the last byte of its answer.
        retries: How often a call is repeated at most, after a limit, a lost connection, or an answer that the server is
            busy; whichever comes, and whether before the answer begins or in the middle of it.
        top: How many of the likeliest tokens are asked for.
        body: What else a request says, such as `{allowed_token_ids: [...]}`; null leaves out what it would say.
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
    api: Literal["completions", "chat"] = "completions"

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
    """Makes calls to one endpoint, each of which is counted in a ledger before it is made."""

    def __init__(self, endpoint: Endpoint, ledger: Ledger | None = None) -> None:
        self._endpoint = endpoint
        self.ledger = Ledger() if ledger is None else ledger
        headers = {"Content-Type": "application/json"}
        key = endpoint.key
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._poster = Poster(endpoint.in_flight, endpoint.time_limit, LARGEST, headers)
        self._pauses = urllib3.Retry(
            endpoint.retries,
            backoff_factor=0.5,
            backoff_max=LONGEST_PAUSE,
            backoff_jitter=0.25,
            retry_after_max=int(LONGEST_PAUSE),
        )

    def answers(self, bodies: Sequence[Mapping[str, Any]], account: str = "other") -> list[Any]:
        """Return the endpoint's answers in the order of `bodies`, of which `in_flight` are asked at a time.

        Args:
            bodies: What is asked.
            account: What the calls are counted under.

        Raises:
            BudgetSpent: They would pass a bound of the run; none is made.
            EndpointRefused: The endpoint does not take one of them.
            EndpointFailed: A call failed for good; calls that are not begun are dropped.
        """
        self.ledger.begin(len(bodies), account)
        with ThreadPoolExecutor(self._endpoint.in_flight) as threads:
            futures = [threads.submit(self._answer, body, account) for body in bodies]
            try:
                found = [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()
        used = [usage_of(answer) for answer in found]
        self.ledger.end(sum(each[0] for each in used), sum(each[1] for each in used), account)
        return found

    def _answer(self, body: Mapping[str, Any], account: str) -> Any:
        path = "chat/completions" if self._endpoint.api == "chat" else "completions"
        where = f"{self._endpoint.url.rstrip('/')}/{path}"
        said = {"model": self._endpoint.model, **body, **self._endpoint.body}
        data = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
        pauses = self._pauses
        while True:
            try:
                return self._tried(where, data)
            except _MayPass as error:
                if not pauses.total:
                    tries = f" after {self._endpoint.retries + 1} tries" if self._endpoint.retries else ""
                    raise EndpointFailed(f"endpoint {where}: {error.what}{tries}: {error.why}") from error
                pauses = pauses.increment("POST", where)
                self.ledger.begin(1, account)
                _pause(pauses, error.response)

    def _tried(self, where: str, data: bytes) -> Any:
        """Return what one call is answered.

        Raises:
            _MayPass: There is no whole answer, or the server is busy.
            EndpointRefused: The server does not take it.
            EndpointFailed: It answers something else.
        """
        try:
            posted = self._poster.posted(where, data)
        except urllib3.exceptions.HTTPError as error:
            raise _MayPass("no answer", _cause(error)) from error
        shown = " ".join(posted.body[:300].decode("utf-8", "replace").split())
        if posted.status in PASSING:
            raise _MayPass(f"answered {posted.status}", shown, posted.response)
        if posted.status != 200:
            failure = EndpointRefused if posted.status in REFUSING else EndpointFailed
            raise failure(f"endpoint {where}: answered {posted.status}: {shown}")
        if len(posted.body) > LARGEST:
            raise EndpointFailed(f"endpoint {where}: the answer is larger than {LARGEST:,} bytes")
        try:
            return json.loads(posted.body)
        except ValueError as error:
            raise EndpointFailed(f"endpoint {where}: expected JSON, found {shown!r}") from error


def usage_of(answer: Any) -> tuple[int, int]:
    """Return how many tokens an answer says that it read and wrote; 0 where it does not say."""
    try:
        used = answer["usage"]
        return int(used["prompt_tokens"]), int(used.get("completion_tokens") or 0)
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0, 0


class _MayPass(Exception):
    """What may be over when the same is asked again: what came, why, and the response if there was one."""

    def __init__(self, what: str, why: str, response: urllib3.BaseHTTPResponse | None = None) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why, self.response = what, why, response


def _pause(pauses: urllib3.Retry, response: urllib3.BaseHTTPResponse | None) -> None:
    """Wait as long as a server asks for, or longer from try to try."""
    try:
        pauses.sleep(response)
    except urllib3.exceptions.InvalidHeader:  # what cannot be read asks for nothing
        pauses.sleep()


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, TooSlow) else f"{type(error).__name__}: {str(error)[:200]}"
