"""The serial backend: one evaluation after the other, in this process."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from emoprune.contracts import Problem
from emoprune.errors import EmopruneError, WorkersLost
from emoprune.evaluation.backends import Finished, Pace, in_order
from emoprune.evaluation.tickets import Outcome, Ticket, TimeLimitReached, measure, set_up
from emoprune.records import Ran, Status

__all__ = ["Serial"]


class Serial:
    """Evaluates in this process, one chunk after the other: for debugging, small problems and notebooks.

    The time limit works on Unix in the main thread, and only while Python code runs; use Ray where an evaluation can
    hang in native code.
    """

    workers = 1
    address = None

    def __init__(self, device: str, threads: int, time_limit: float | None, chunk: int | None) -> None:
        self._device = device
        self._threads = threads
        self._time_limit = time_limit
        self._pace = Pace(chunk, time_limit)
        self._problem: Problem | None = None

    def open(self) -> None:
        """Nothing to connect to."""

    def start(self, problem: Problem) -> None:
        """Set the problem up here.

        Raises:
            WorkersLost: `setup` raised; its own error is the cause.
        """
        try:
            set_up(problem, self._device, self._threads)
        except EmopruneError:
            raise
        except Exception as error:
            raise WorkersLost(f"the problem's setup failed: {type(error).__name__}: {error}") from error
        self._problem = problem

    def run(self, tickets: Sequence[Ticket], stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        """Yield each chunk when it is done."""
        for waiting in in_order(tickets):
            done = 0
            while done < len(waiting) and not stopping():
                chunk = waiting[done : done + self._pace.length]
                yield self._within_limit(chunk)
                done += len(chunk)

    def _within_limit(self, chunk: list[Ticket]) -> list[Finished]:
        if self._problem is None:
            raise WorkersLost("the serial backend was not started; call start(problem) before run()")
        begun = time.monotonic()
        try:
            with _alarm(self._pace.limit(len(chunk))):
                outcomes = measure(self._problem, chunk)
        except TimeLimitReached:
            if len(chunk) > 1:
                return [finished for ticket in chunk for finished in self._within_limit([ticket])]
            outcomes = [Outcome(Status.TIMEOUT, reason=f"not finished after {self._time_limit:g} s")]
        seconds = time.monotonic() - begun
        self._pace.note(seconds, len(chunk))
        each = seconds / len(chunk)
        # The worker's name is what histories have had from the beginning.
        return [Finished(*pair, Ran("in-process", each)) for pair in zip(chunk, outcomes, strict=True)]

    def close(self) -> None:
        """Forget the problem."""
        self._problem = None


@contextlib.contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise TimeLimitReached here after `seconds`, where signals allow it."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    armed = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise TimeLimitReached

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            armed = False  # what rings from here on is too late: the evaluation is done
    finally:  # also when it rang in the line above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
