"""The backend over Ray actors: connect, start the workers, and run tickets through them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from emoprune.cluster.connection import Connection
from emoprune.cluster.dispatch import Queue
from emoprune.cluster.failures import details, ended_by, reason
from emoprune.cluster.pool import Slot, WorkerPool
from emoprune.cluster.resources import Share, check_room, room
from emoprune.cluster.worker import import_path, sent
from emoprune.contracts import Problem
from emoprune.errors import WorkersLost
from emoprune.evaluation.backends import Finished, Pace
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Status

__all__ = ["RayActors"]

POLL = 0.25  # seconds; bounds how late a stop or a deadline is noticed
FEWEST_LOSSES = 3  # that must come in a row before workers, not candidates, are blamed


class RayActors:
    """Evaluates on Ray actors, each a process that holds the problem; gives the same outcomes as any other backend.

    Args:
        workers: How many; None for as many as fit, on this machine at most one per usable core.
        address: `host:port` of a cluster's head, `auto` or `local`; None for the Ray at hand or one started here.
        cpus_per_worker: CPUs that Ray sets aside for each worker; parts are allowed.
        gpus_per_worker: GPUs likewise.
        device: What the problem's `setup` is told to compute on.
        threads: What numerical libraries in a worker are kept to.
        time_limit: Seconds for one evaluation, or None; a chunk that is late is measured one by one, see `Pace.limit`.
        start_limit: Seconds for Ray to answer, and for a worker to be placed and set up.
        retries: How often a candidate that was alone when its worker died is tried again.
        chunk: Candidates per call of the problem's `evaluate`; None to learn how many from how long they take.
    """

    def __init__(
        self,
        *,
        workers: int | None,
        address: str | None,
        cpus_per_worker: float,
        gpus_per_worker: float,
        device: str,
        threads: int,
        time_limit: float | None,
        start_limit: float,
        retries: int,
        chunk: int | None,
    ) -> None:
        self.workers = workers or 0
        self._wanted = workers
        self._share = Share(cpus_per_worker, gpus_per_worker)
        self._device = device
        self._threads = threads
        self._time_limit = time_limit
        self._start_limit = start_limit
        self._retries = retries
        self._pace = Pace(chunk, time_limit)
        self._connection = Connection(address, start_limit)
        self._pool: WorkerPool | None = None
        self._stopping: Callable[[], bool] = bool  # False, until there is something to stop

    def open(self) -> None:
        """Connect to Ray and refuse what cannot be placed, before anything is evaluated.

        Raises:
            ResourcesUnavailable: No Ray answers, or it has no room for the workers.
            ConfigError: The address is not one.
        """
        here = self._connection.starts_here
        cores = len(os.sched_getaffinity(0))
        if here and self._wanted is not None:
            check_room(self._wanted, Share(self._share.cpus, 0.0), [{"CPU": cores}])
        # Ray starts a process for each of its CPUs, so it gets no more than the workers will take.
        self._connection.open(cores if self._wanted is None else max(1, math.ceil(self._wanted * self._share.cpus)))
        machines = self._connection.machines()
        fit = room(machines, self._share)
        self.workers = self._wanted or max(1, min(fit, cores) if here else fit)
        try:
            check_room(self.workers, self._share, machines)
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
        box = [sent(problem, elsewhere=len(self._connection.machines()) > 1)]
        self._pool = WorkerPool(
            self.workers,
            self._share,
            threads=self._threads,
            start_limit=self._start_limit,
            preparation=(import_path(), box, self._device, self._threads),
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
        queue = Queue(tickets, len(pool), self._retries, self._patience)
        self._stopping = stopping
        try:
            yield from self._dispatched(pool, queue, stopping)
        finally:
            if pool.busy and self._connection.answers():  # else it would block
                pool.abandon()

    @property
    def _patience(self) -> int:
        return max(FEWEST_LOSSES, self.workers) + self._retries

    def _dispatched(self, pool: WorkerPool, queue: Queue, stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        finished: list[Finished] = []
        while True:
            stop = stopping()
            if not stop:
                self._hand_out(pool, queue)
            if finished:
                yield finished  # only now, so that workers are at it again while the caller writes down
            if not pool.busy and (stop or not queue):
                return
            # What ends the run comes before results are taken, so that none is taken and then lost.
            try:
                pool.give_up_late()
                self._connection.check()
            except WorkersLost:
                if not stopping():
                    raise
                return  # what asked this process to end may have told all of Ray, too
            finished = [each for slot in pool.ready(POLL) for each in self._received(pool, queue, slot)]
            finished += [each for slot in pool.overdue(self._pace.limit) for each in self._timed_out(pool, queue, slot)]
            self.workers = len(pool)

    def _hand_out(self, pool: WorkerPool, queue: Queue) -> None:
        busy = pool.busy
        if any(slot.stretch[0].lonely for slot in busy):
            return
        for slot in pool.free[: max(0, pool.together - len(busy))]:
            stretch = queue.take(slot, self._pace.length, self._pace.stretch, nobody_else=not busy)
            if not stretch:
                return
            pool.give(slot, stretch)
            if stretch[0].lonely:
                return
            busy = [slot]

    def _received(self, pool: WorkerPool, queue: Queue, slot: Slot) -> list[Finished]:
        """Take what has arrived: a worker that has started, answers, or the news that a worker is lost."""
        if not slot.stretch:
            pool.take_in(slot)
            return []
        seconds = slot.seconds
        arrived = pool.arrived(slot)
        finished: list[Finished] = []
        for outcomes, took in arrived.answers:
            finished += self._taken(pool, queue, slot, outcomes, took)
        if arrived.error is not None:
            return finished + self._failed(pool, queue, slot, arrived.error, seconds)
        if arrived.over:
            queue.returned(slot, pool.release(slot))
        return finished

    def _taken(
        self, pool: WorkerPool, queue: Queue, slot: Slot, outcomes: list[Outcome], seconds: float
    ) -> list[Finished]:
        """Take the outcomes of the chunk under way; where memory ran out, fewer are measured at a time from now on."""
        chunk = slot.stretch.popleft()
        slot.answered += 1
        self._pace.note(seconds, len(chunk))
        finished = queue.measured(chunk, outcomes, slot.name, seconds, crowded=slot.crowded)
        if len(finished) < len(chunk):
            pool.fewer()
        elif chunk.lonely:
            pool.settle(fits=outcomes[0].status is not Status.OUT_OF_MEMORY)
        return finished

    def _failed(self, pool: WorkerPool, queue: Queue, slot: Slot, error: RayError, seconds: float) -> list[Finished]:
        """Settle what was under way when an error came instead of an answer."""
        chunk, certain, name = slot.stretch.popleft(), slot.answered == 0, slot.name
        queue.returned(slot, pool.release(slot))
        if isinstance(error, RayTaskError):  # raised around the problem: `measure` makes outcomes of its own errors
            return queue.blamed(chunk, Outcome(Status.ERROR, reason=reason(error)), name, seconds)
        queue.left(slot)
        if self._stopping():  # what asked this process to end may have told its workers, too
            pool.let_go(slot)
            return []
        if isinstance(error, OutOfMemoryError):
            outcome = Outcome(Status.OUT_OF_MEMORY, reason=f"the worker died: {reason(error)}")
            finished = queue.exhausted(chunk, outcome, name, seconds)
            if chunk.lonely:
                pool.settle(fits=False)
            else:
                pool.fewer()
            pool.replace(slot)
            return finished
        pool.replace(slot)
        outcome = Outcome(Status.CRASHED, reason=f"the worker died: {ended_by(error, self._connection.session)}")
        finished = queue.lost(chunk, outcome, name, seconds, certain=certain)
        if queue.hopeless:
            raise WorkersLost(
                f"workers died with {queue.lost_in_a_row} different candidates in a row, nothing was measured in "
                f"between; the last: {details(error, self._connection.session)}"
            )
        return finished

    def _timed_out(self, pool: WorkerPool, queue: Queue, slot: Slot) -> list[Finished]:
        chunk, seconds = slot.stretch.popleft(), slot.seconds
        queue.returned(slot, pool.release(slot))
        pool.replace(slot)
        queue.left(slot)
        outcome = Outcome(Status.TIMEOUT, reason=f"not finished after {self._time_limit:g} s")
        return queue.blamed(chunk, outcome, slot.name, seconds)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; harmless when called twice or before `open`."""
        if self._pool is not None and ray.is_initialized() and self._connection.answers():
            self._pool.end()
        self._pool = None
        self._connection.close()
