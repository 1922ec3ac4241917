"""To Ray and back: use the one at hand, start one here or connect to one, quietly and in bounded time."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray._private import utils

from emoprune.cluster.address import check_reachable, is_same
from emoprune.cluster.private import NoFolders, private
from emoprune.cluster.resources import Machine
from emoprune.errors import ConfigError, ResourcesUnavailable, WorkersLost

__all__ = ["Connection"]

# Ray ends this process, without a word, 60 s after its head and 10 s after its part of this machine is gone: be sooner.
LOST_AFTER = 15.0  # seconds of the head's silence; it may be restarted
ANSWER_WITHIN = 0.3  # seconds, for the head to accept a connection; short, because a stop must be noticed meanwhile
PROBE_EVERY = 2.0  # seconds
LOCAL = "local"

log = logging.getLogger(__name__)


class Connection:
    """A Ray to compute on: the one this process is connected to already, one at an address, or one started here.

    Without an address the one at hand is used, then the one that RAY_ADDRESS names, as in all of Ray; with neither, or
    with `local`, one is started here.
    """

    def __init__(self, address: str | None, start_limit: float) -> None:
        self._given = address
        self._address = address or os.environ.get("RAY_ADDRESS") or LOCAL
        self._start_limit = start_limit
        self._ours = False
        self._head = self._here = ("", 0)
        self._probed = 0.0
        self._silent_since: float | None = None
        self.joined: str | None = None  # host:port of a cluster that was there before
        self.session: str | None = None  # the folder of Ray's session, if it was joined here

    @property
    def starts_here(self) -> bool:
        """Whether `open` will start a Ray on this machine."""
        return self._address == LOCAL and not ray.is_initialized()

    def open(self, cpus: int) -> None:
        """Connect; a Ray that is started here gets `cpus` CPUs and every GPU it finds.

        Raises:
            ResourcesUnavailable: There is no Ray to be had, in the time there is for it; says why.
            ConfigError: The address is not one, or this process is connected to another Ray.
        """
        if ray.is_initialized():
            self._check_same()
        elif self._address == LOCAL:
            with private():
                self._init(num_cpus=cpus, include_dashboard=False)
        else:
            check_reachable(self._address, self._start_limit, "evaluation.address" if self._given else "RAY_ADDRESS")
            self._init()
        about = ray.get_runtime_context()
        if self._address != LOCAL or not self._ours:
            self.joined = about.gcs_address
            why = ("evaluation.address" if self._given else "RAY_ADDRESS") if self._ours else "this process is in it"
            log.info("measuring on the Ray cluster at %s (%s)", self.joined, why)
        host, _, port = about.gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))
        here = next(node for node in _nodes() if node["NodeID"] == about.get_node_id())
        self._here = (here["NodeManagerAddress"], here["NodeManagerPort"])

    def _check_same(self) -> None:
        """Refuse to compute on another Ray than the one that was asked for."""
        here = ray.get_runtime_context().gcs_address
        if self._given in (None, LOCAL, "auto") or is_same(self._address, here):
            return
        raise ConfigError(
            f"evaluation.address is {self._given}, but this process is connected to the Ray at {here}; "
            "call ray.shutdown() first, or leave the address out"
        )

    def _init(self, **options: Any) -> None:
        try:
            with _sigterm_kept():
                options |= {"log_to_driver": False, "logging_level": logging.ERROR, "job_config": NoFolders()}
                made: Any = ray.init(self._address, **options)
        except Exception as error:  # Ray raises whatever its parts raise, down to plain Exception
            raise ResourcesUnavailable(
                f"Ray at {self._address!r} does not start: {error}; `ray status` and the files under /tmp/ray say more"
            ) from error
        self._ours = True
        self.session = made.address_info.get("session_dir")

    def machines(self) -> list[Machine]:
        """Return every machine that is alive."""
        return [Machine(node["Resources"], node.get("Labels", {})) for node in _nodes() if node["Alive"]]

    @property
    def reaches_elsewhere(self) -> bool:
        """Whether there are, or may be, other machines than this one: those of a cluster can join at any time."""
        return len(self.machines()) > 1 or (self.joined is not None and self._ours)

    @property
    def silent(self) -> bool:
        """Whether the head did not answer when it was last asked; most calls of Ray then block."""
        return self._silent_since is not None

    def answers(self) -> bool:
        """Whether head and this machine's part of Ray are there at this moment."""
        return not self.silent and _unanswered(self._here) is None and _unanswered(self._head) is None

    def check(self) -> None:
        """Notice a lost cluster; may be called as often as one likes.

        Raises:
            WorkersLost: The head has been silent for LOST_AFTER seconds, or this machine is no longer part of it.
        """
        if time.monotonic() - self._probed >= PROBE_EVERY:
            self._probe()

    def _probe(self) -> None:
        now = self._probed = time.monotonic()
        if isinstance(_unanswered(self._here), ConnectionRefusedError):
            raise self._lost("Ray's process on this machine is gone")
        error = _unanswered(self._head)
        if error is None:
            self._silent_since = None
            return
        self._silent_since = self._silent_since or now
        if now - self._silent_since >= LOST_AFTER:
            raise self._lost(f"its head has not answered for {LOST_AFTER:g} s ({error})")

    def _lost(self, why: str) -> WorkersLost:
        host, port = self._head
        return WorkersLost(
            f"Ray cluster lost: {host}:{port}: {why}; everything finished is kept, resume the run when Ray is back"
        )

    def close(self) -> None:
        """Let go of Ray; ends it only if it was started, or connected to, here."""
        if self._ours:
            self._ours = False
            self._silent_since = None
            ray.shutdown()


def _unanswered(place: tuple[str, int]) -> OSError | None:
    """Return why nothing accepts a connection at host and port, or None if something does."""
    try:
        socket.create_connection(place, timeout=ANSWER_WITHIN).close()
    except OSError as error:
        return error
    return None


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # ray leaves it untyped
    return nodes


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Leave SIGTERM to whoever handles it: ray.init takes it twice, at first and, in native code, at last."""
    ray_utils: Any = utils
    handler, rays_own = signal.getsignal(signal.SIGTERM), ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = rays_own
        # None stands for a handler that was not set from Python and cannot be put back from here.
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
