"""The backend over Ray actors: connect, start the workers, and run tickets through them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from emoprune.cluster.connection import Connection
from emoprune.cluster.crew import Crew, Seat
from emoprune.cluster.dispatch import Chunk, Queue
from emoprune.cluster.last_words import last_words, reason
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
        chunk: Candidates per task; None to derive it from the number of workers.
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
        self._crew: Crew | None = None

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

    def start(self, problem: Problem) -> None:
        """Give every worker the problem; return when the first has set it up, the others follow.

        Called again, it puts new workers in the places of those that hold the problem as it was.

        Raises:
            WorkersLost: No worker came up; its own traceback is in the message.
            EmopruneError: The problem's `setup` raised it.
            ContractError: The problem cannot be sent to workers.
        """
        if self._crew is not None:  # the problem changed: what the workers hold is not it any more
            self._crew.dismiss()
        box = [sent(problem, elsewhere=len(self._connection.machines()) > 1)]
        self._crew = Crew(
            self.workers,
            self._share,
            threads=self._threads,
            start_limit=self._start_limit,
            preparation=(import_path(), box, self._device, self._threads),
            session=self._connection.session,
        )
        while not self._crew.free:
            for seat in self._crew.arrived(POLL):
                self._crew.welcome(seat)
            self._crew.give_up_late()
            self._connection.check()
        self.workers = len(self._crew)

    def run(self, tickets: Sequence[Ticket], stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        """Yield finished tickets as they arrive; after `stopping()` only what is already under way.

        Raises:
            WorkersLost: The cluster is gone, or workers die one after the other and nothing is measured.
        """
        if self._crew is None:
            raise WorkersLost("the Ray backend was not started; call start(problem) before run()")
        crew = self._crew
        if not self._connection.silent:  # else it would block, and `check` says so soon
            crew.refill()
        queue = Queue(self._pace.cut(tickets, len(crew)), self._retries, self._patience)
        try:
            yield from self._dispatched(crew, queue, stopping)
        finally:
            if not self._connection.silent:  # else it would block
                crew.abandon()

    @property
    def _patience(self) -> int:
        return max(FEWEST_LOSSES, self.workers) + self._retries

    def _dispatched(self, crew: Crew, queue: Queue, stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        finished: list[Finished] = []
        while True:
            stop = stopping()
            if not stop:
                _hand_out(crew, queue)
            if finished:
                yield finished  # only now, so that workers are at it again while the caller writes down
            if not crew.busy and (stop or not queue):
                return
            # What ends the run comes before results are taken, so that none is taken and then lost.
            crew.give_up_late()
            self._connection.check()
            finished = [each for seat in crew.arrived(POLL) for each in self._received(crew, queue, seat)]
            finished += [each for seat in crew.overdue(self._pace.limit) for each in self._timed_out(crew, queue, seat)]
            self.workers = len(crew)

    def _received(self, crew: Crew, queue: Queue, seat: Seat) -> list[Finished]:
        """Take what has arrived: a worker that has started, outcomes, or the news that a worker is lost."""
        chunk, seconds = seat.chunk, seat.seconds
        if chunk is None:
            crew.welcome(seat)
            return []
        try:
            outcomes, seconds = crew.result(seat)
        except RayTaskError as error:  # raised around the problem, for `measure` turns its own errors into outcomes
            crew.release(seat)
            return queue.blamed(chunk, Outcome(Status.ERROR, reason=reason(error)), seat.name, seconds)
        except RayError as error:
            crew.replace(seat)
            return self._lost(queue, chunk, error, seat.name, seconds)
        crew.release(seat)
        self._pace.note(seconds, len(chunk))
        return queue.measured(chunk, outcomes, seat.name, seconds)

    def _lost(self, queue: Queue, chunk: Chunk, error: RayError, worker: str, seconds: float) -> list[Finished]:
        status = Status.OUT_OF_MEMORY if isinstance(error, OutOfMemoryError) else Status.CRASHED
        outcome = Outcome(status, reason=f"the worker died: {reason(error)}")
        finished = queue.lost(chunk, outcome, worker, seconds)
        if queue.hopeless:
            raise WorkersLost(
                f"workers died with {queue.lost_in_a_row} different candidates in a row, nothing was measured in "
                f"between; the last: {last_words(error, self._connection.session)}"
            )
        return finished

    def _timed_out(self, crew: Crew, queue: Queue, seat: Seat) -> list[Finished]:
        chunk, seconds = seat.chunk, seat.seconds
        if chunk is None:
            return []
        crew.replace(seat)
        outcome = Outcome(Status.TIMEOUT, reason=f"not finished after {self._time_limit:g} s")
        return queue.blamed(chunk, outcome, seat.name, seconds)

    def close(self) -> None:
        """End the workers, and Ray if it was started here; harmless when called twice or before `open`."""
        if self._crew is not None and ray.is_initialized() and not self._connection.silent:
            self._crew.dismiss()
        self._crew = None
        self._connection.close()


def _hand_out(crew: Crew, queue: Queue) -> None:
    for seat in crew.free:
        if queue:
            crew.give(seat, queue.take())
