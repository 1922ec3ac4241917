"""The backend over Ray actors: connect, start the workers, and run tickets through them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from emoprune.cluster.connection import Connection
from emoprune.cluster.dispatch import Queue
from emoprune.cluster.measuring import POLL, Measuring
from emoprune.cluster.pool import WorkerPool, actor_class
from emoprune.cluster.resources import Machine, Share, check_room, room
from emoprune.cluster.waiting import waited_for_room
from emoprune.cluster.worker import checked_environment, import_path, sent
from emoprune.contracts import Problem
from emoprune.errors import WorkersLost
from emoprune.evaluation.backends import Finished, Pace
from emoprune.evaluation.tickets import Ticket

__all__ = ["RayActors"]

LOOK_EVERY = 5.0  # seconds, for machines that have joined
FEWEST_LOSSES = 3  # that must come in a row before workers, not candidates, are blamed


class RayActors:
    """Evaluates on Ray actors, each a process that holds the problem; gives the same outcomes as any other backend.

    Args:
        workers: How many; None for as many as fit, on this machine at most one per usable core.
        address: `host:port` of a cluster's head, `auto` or `local`; None for the Ray at hand or one started here.
        share: What Ray sets aside for each worker, and on which machines.
        runtime_env: What Ray prepares for each worker beside the numbers of threads.
        device: What the problem's `setup` is told to compute on.
        threads: What numerical libraries in a worker are kept to.
        time_limit: Seconds for one evaluation, or None; a chunk that is late is measured one by one, see `Pace.limit`.
        start_limit: Seconds for Ray to answer, and for a worker to be placed and set up.
        retries: How often a candidate whose worker died is tried again; once at least where it was not alone.
        chunk: Candidates per call of the problem's `evaluate`; None to learn how many from how long they take.
        beside: Folders beside a config in which code may lie; workers look there last, as this process does.
    """

    def __init__(
        self,
        *,
        workers: int | None,
        address: str | None,
        share: Share,
        runtime_env: Mapping[str, Any],
        device: str,
        threads: int,
        time_limit: float | None,
        start_limit: float,
        retries: int,
        chunk: int | None,
        beside: Sequence[Path] = (),
    ) -> None:
        self._beside = beside
        self.workers = workers or 0
        self._wanted = workers
        self._share = share
        self._kind = actor_class(share, checked_environment(runtime_env, threads))
        self._device = device
        self._threads = threads
        self._time_limit = time_limit
        self._start_limit = start_limit
        self._retries = retries
        self._pace = Pace(chunk, time_limit)
        self._connection = Connection(address, start_limit)
        self._pool: WorkerPool | None = None
        self._look_again = 0.0

    def open(self) -> None:
        """Connect to Ray and refuse what cannot be placed, before anything is evaluated.

        Raises:
            ResourcesUnavailable: No Ray answers, or it has no room for the workers.
            ConfigError: The address is not one.
        """
        here = self._connection.starts_here
        cores = len(os.sched_getaffinity(0))
        if here and self._wanted is not None:
            check_room(self._wanted, Share(self._share.cpus, 0.0), [Machine({"CPU": cores})])
        # Ray starts a process for each of its CPUs, so it gets no more than the workers will take.
        self._connection.open(cores if self._wanted is None else max(1, math.ceil(self._wanted * self._share.cpus)))
        waited = 0.0
        try:
            if not here:
                wanted = self._wanted or 1
                waited = waited_for_room(self._connection, self._share, self._kind, wanted, self._start_limit)
            machines = self._connection.machines()
            fit = room(machines, self._share)
            self.workers = self._wanted or max(1, min(fit, cores) if here else fit)
            check_room(self.workers, self._share, machines, waited)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str | None:
        """Of the cluster that was joined."""
        return self._connection.joined

    def start(self, problem: Problem) -> None:
        """Give every worker the problem; return when the first has set it up, the others follow.

        Called again, it puts new workers in the places of those that hold the problem as it was.

        Raises:
            WorkersLost: No worker came up; its own traceback is in the message.
            EmopruneError: The problem's `setup` raised it.
            ContractError: The problem cannot be sent to workers.
        """
        if self._pool is not None:  # the problem changed: what the workers hold is not it any more
            self._pool.end()
        box = [sent(problem, elsewhere=self._connection.reaches_elsewhere)]
        self._pool = WorkerPool(
            self.workers,
            self._share,
            self._kind,
            start_limit=self._start_limit,
            preparation=(import_path(self._beside), box, self._device, self._threads),
            session=self._connection.session,
        )
        while not self._pool.free:
            for slot in self._pool.ready(POLL):
                self._pool.take_in(slot)
            self._pool.give_up_late()
            self._connection.check()
        self.workers = len(self._pool)

    def run(self, tickets: Sequence[Ticket], stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        """Yield finished tickets as they arrive; after `stopping()` only what is already under way.

        Raises:
            WorkersLost: The cluster is gone, or workers die one after the other and nothing is measured.
        """
        if self._pool is None:
            raise WorkersLost("the Ray backend was not started; call start(problem) before run()")
        pool = self._pool
        if not self._connection.silent:  # else it would block, and `check` says so soon
            pool.refill()
        queue = Queue(tickets, len(pool), self._retries, max(FEWEST_LOSSES, self.workers) + self._retries)
        measuring = Measuring(pool, queue, self._pace, self._connection, self._time_limit, stopping)
        try:
            for finished in measuring.pieces():
                self._grow(pool)
                self.workers = len(pool)
                if finished:
                    yield finished
        finally:
            if pool.busy and self._connection.answers():  # else it would block
                pool.abandon()

    def _grow(self, pool: WorkerPool) -> None:
        """Use machines that have joined: all of them, or up to as many workers as were asked for."""
        if self._connection.joined is None or self._connection.silent or time.monotonic() < self._look_again:
            return
        self._look_again = time.monotonic() + LOOK_EVERY
        pool.grow(room(self._connection.machines(), self._share) if self._wanted is None else self._wanted)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; harmless when called twice or before `open`."""
        if self._pool is not None and ray.is_initialized() and self._connection.answers():
            self._pool.end()
        self._pool = None
        self._connection.close()
