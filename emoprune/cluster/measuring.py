"""Having tickets measured: hand them out, take what comes back, and settle what workers that are lost leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from emoprune.cluster.connection import Connection
from emoprune.cluster.dispatch import Queue
from emoprune.cluster.failures import details, ended_by, reason
from emoprune.cluster.pool import WorkerPool
from emoprune.cluster.slots import Slot
from emoprune.errors import WorkersLost
from emoprune.evaluation.backends import Finished, Pace
from emoprune.evaluation.tickets import Outcome
from emoprune.records import Status

__all__ = ["POLL", "Measuring"]

POLL = 0.25  # seconds; bounds how late a stop or a deadline is noticed


@dataclass(frozen=True, slots=True, eq=False)
class Measuring:
    """One queue of tickets on its way through a pool of workers.

    Args:
        pool: Who measures.
        queue: What waits.
        pace: How much a worker gets at once, and when it is late.
        connection: To the cluster.
        time_limit: Seconds for one evaluation, or None.
        stopping: Whether nothing new is to be begun.
    """

    pool: WorkerPool
    queue: Queue
    pace: Pace
    connection: Connection
    time_limit: float | None
    stopping: Callable[[], bool]

    def pieces(self) -> Iterator[list[Finished]]:
        """Yield what is finished as it comes, and nothing from time to time.

        Raises:
            WorkersLost: The cluster is gone, or workers die one after the other and nothing is measured.
        """
        finished: list[Finished] = []
        while True:
            stop = self.stopping()
            if not stop:
                self._hand_out()
            yield finished  # only now, so that workers are at it again while the caller writes down
            if not self.pool.busy and (stop or not self.queue):
                return
            # What ends the run comes before results are taken, so that none is taken and then lost.
            try:
                self.pool.give_up_late()
                self.connection.check()
            except WorkersLost:
                if not self.stopping():
                    raise
                return  # what asked this process to end may have told all of Ray, too
            finished = [each for slot in self.pool.ready(POLL) for each in self._received(slot)]
            finished += [each for slot in self.pool.overdue(self.pace.limit) for each in self._timed_out(slot)]

    def _hand_out(self) -> None:
        busy = self.pool.busy
        if any(slot.stretch[0].lonely for slot in busy):
            return
        for slot in self.pool.free[: max(0, self.pool.together - len(busy))]:
            stretch = self.queue.take(slot, self.pace.length, self.pace.stretch, nobody_else=not busy)
            if not stretch:
                return
            self.pool.give(slot, stretch)
            if stretch[0].lonely:
                return
            busy = [slot]

    def _received(self, slot: Slot) -> list[Finished]:
        """Take what has arrived: a worker that has started, answers, or the news that a worker is lost."""
        if not slot.stretch:
            if self.stopping():  # it is not needed any more, nor does it matter why it did not come up
                self.pool.let_go(slot)
            else:
                self.pool.take_in(slot)
            return []
        seconds = slot.seconds
        arrived = slot.arrived()
        finished: list[Finished] = []
        for outcomes, took in arrived.answers:
            finished += self._taken(slot, outcomes, took)
        if arrived.error is not None:
            return finished + self._failed(slot, arrived.error, seconds)
        if arrived.over:
            self.queue.returned(slot, slot.release())
        return finished

    def _taken(self, slot: Slot, outcomes: list[Outcome], seconds: float) -> list[Finished]:
        """Take the outcomes of the chunk under way; where memory ran out, fewer are measured at a time from now on."""
        chunk = slot.stretch.popleft()
        slot.answered += 1
        self.pace.note(seconds, len(chunk))
        finished = self.queue.measured(chunk, outcomes, slot.name, seconds, crowded=slot.crowded)
        if len(finished) < len(chunk):
            self.pool.fewer()
        elif chunk.lonely:
            self.pool.settle(fits=outcomes[0].status is not Status.OUT_OF_MEMORY)
        return finished

    def _failed(self, slot: Slot, error: RayError, seconds: float) -> list[Finished]:
        """Settle what was under way when an error came instead of an answer."""
        chunk, certain, name = slot.stretch.popleft(), slot.answered == 0, slot.name
        self.queue.returned(slot, slot.release())
        if isinstance(error, RayTaskError):  # raised around the problem: `measure` makes outcomes of its own errors
            return self.queue.blamed(chunk, Outcome(Status.ERROR, reason=reason(error)), name, seconds)
        self.queue.left(slot)
        if self.stopping():  # what asked this process to end may have told its workers, too
            self.pool.let_go(slot)
            return []
        if isinstance(error, OutOfMemoryError):
            outcome = Outcome(Status.OUT_OF_MEMORY, reason=f"the worker died: {reason(error)}")
            finished = self.queue.exhausted(chunk, outcome, name, seconds)
            if chunk.lonely:
                self.pool.settle(fits=False)
            else:
                self.pool.fewer()
            self.pool.replace(slot)
            return finished
        self.pool.replace(slot)
        outcome = Outcome(Status.CRASHED, reason=f"the worker died: {ended_by(error, self.connection.session)}")
        finished = self.queue.lost(chunk, outcome, name, seconds, certain=certain)
        if self.queue.hopeless:
            raise WorkersLost(
                f"workers died with {self.queue.lost_in_a_row} different candidates in a row, nothing was measured in "
                f"between; the last: {details(error, self.connection.session)}"
            )
        return finished

    def _timed_out(self, slot: Slot) -> list[Finished]:
        chunk, seconds = slot.stretch.popleft(), slot.seconds
        self.queue.returned(slot, slot.release())
        self.pool.replace(slot)
        self.queue.left(slot)
        outcome = Outcome(Status.TIMEOUT, reason=f"not finished after {self.time_limit:g} s")
        return self.queue.blamed(chunk, outcome, slot.name, seconds)
