"""From candidates to evaluations: tickets with seeds, a cache, and the in-process backend."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import numpy as np

from emoprune.contracts import Problem, constraints_of
from emoprune.errors import EmopruneError, WorkersLost
from emoprune.measuring import Outcome, Ticket, TimeLimitReached, measure, set_up
from emoprune.records import Candidate, Evaluation, Ran, Split, Status

__all__ = ["Backend", "Evaluator", "Finished", "InProcess", "Pace", "seed_for"]

MOST_PER_CHUNK = 64  # bounds what is lost with a worker, and how long a stop has to wait
WORTHWHILE = 0.01  # seconds that a chunk should take; handing one over costs about one millisecond
UNKNOWN_PACE = 4  # candidates per chunk, at most, while nobody knows how long one takes


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A ticket with its outcome."""

    ticket: Ticket
    outcome: Outcome
    ran: Ran


class Backend(Protocol):
    """Where evaluations happen; every backend gives the same outcomes for the same tickets."""

    workers: int

    def open(self) -> None:
        """Connect and refuse what cannot be had, before anything is written or evaluated."""
        ...

    def start(self, problem: Problem) -> None:
        """Give every worker the problem and set it up."""
        ...

    def run(self, tickets: Sequence[Ticket], stopping: Callable[[], bool]) -> Iterator[list[Finished]]:
        """Yield finished tickets in pieces, in any order; after `stopping()` only what is already under way."""
        ...

    def close(self) -> None:
        """Let go of the workers; harmless when called twice or before `open`."""
        ...


def seed_for(run_seed: int, key: bytes, split: Split) -> int:
    """Return the seed of one evaluation: it depends on nothing but the run's seed, the genome and the split."""
    text = f"{run_seed}/{split.value}/".encode()
    return int.from_bytes(hashlib.blake2b(text + key, digest_size=8).digest(), "big")


class Pace:
    """How much a worker gets at a time, and when it is late, learnt from how long evaluations take.

    Args:
        chunk: Candidates per chunk as the user wants it; None to choose.
        time_limit: Seconds for one evaluation, or None.
    """

    def __init__(self, chunk: int | None, time_limit: float | None) -> None:
        self._chunk = chunk
        self._time_limit = time_limit
        self._seconds: float | None = None

    def note(self, seconds: float, count: int) -> None:
        """Learn that `count` evaluations in a row took `seconds`."""
        self._seconds = seconds / count

    def cut(self, tickets: Sequence[Ticket], workers: int) -> list[list[Ticket]]:
        """Cut tickets, sorted by key so that neighbours share long prefixes, into contiguous chunks.

        By itself a worker gets about four chunks, so that a slow one does not hold up the rest for long; fewer where
        they are done in no time; and none that is expected to take long beside the time limit.
        """
        ordered = sorted(tickets, key=lambda ticket: (ticket.kind, ticket.key))
        length = self._chunk or self._fitting(-(-len(ordered) // workers))
        alike = (list(group) for _, group in itertools.groupby(ordered, key=lambda ticket: ticket.kind))
        return [group[start : start + length] for group in alike for start in range(0, len(group), length)]

    def _fitting(self, share: int) -> int:
        """Return how many candidates a chunk should hold where each worker has `share` of them to do."""
        worthwhile = 0 if self._seconds is None else int(WORTHWHILE / max(self._seconds, 1e-9))
        return max(1, min(MOST_PER_CHUNK, self._affordable(), max(-(-share // 4), min(share, worthwhile))))

    def _affordable(self) -> int:
        if self._time_limit is None:
            return MOST_PER_CHUNK
        return UNKNOWN_PACE if self._seconds is None else int(self._time_limit / 4 / max(self._seconds, 1e-9))

    def limit(self, count: int) -> float | None:
        """Return after how many seconds a chunk of `count` is late; its candidates are then measured one by one.

        A chunk that was chosen here gets no longer than one evaluation may take, so that one that hangs is found soon.
        """
        if self._time_limit is None:
            return None
        return self._time_limit * (1 if self._chunk is None else count)


class Evaluator:
    """Turns candidates into tickets and finished tickets into evaluations, never paying for what is already `known`.

    Args:
        problem: Only its objectives, constraints and space are used here.
        run_seed: Every evaluation's seed is derived from it.
        known: Earlier evaluations by genome key and split, from the history of a run that is resumed.
        stage: Which stage's problem this is, None for a whole one.
    """

    def __init__(
        self,
        problem: Problem,
        run_seed: int,
        known: Mapping[tuple[bytes, Split], Evaluation],
        stage: str | None = None,
    ) -> None:
        self._space = problem.space
        self._names = [objective.name for objective in problem.objectives]
        self._names += [constraint.name for constraint in constraints_of(problem)]
        self._run_seed = run_seed
        self._known = known
        self._stage = stage

    def recalled_and_due(self, candidates: Sequence[Candidate], split: Split) -> tuple[list[Evaluation], list[Ticket]]:
        """Return what is already known of the candidates, and tickets for the rest."""
        if not candidates:
            return [], []
        keys = self._space.keys(np.stack([candidate.genome for candidate in candidates]))
        recalled, tickets = [], []
        for candidate, key in zip(candidates, keys, strict=True):
            earlier = self._known.get((key, split))
            if earlier is None:
                tickets.append(Ticket(candidate, split, seed_for(self._run_seed, key, split), key, self._stage))
            else:
                recalled.append(earlier)
        return recalled, tickets

    def recorded(self, finished: Finished) -> Evaluation:
        """Return the record of a finished ticket."""
        ticket, outcome = finished.ticket, finished.outcome
        values = dict(zip(self._names, outcome.values, strict=True)) if outcome.status is Status.OK else {}
        return Evaluation(
            ticket.candidate, ticket.split, outcome.status, values, ticket.seed, finished.ran, outcome.reason
        )


class InProcess:
    """Evaluates in this process, one chunk after the other: for debugging, small problems and notebooks.

    The time limit works on Unix in the main thread, and only while Python code runs; use Ray where an evaluation can
    hang in native code.
    """

    workers = 1

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
        for chunk in self._pace.cut(tickets, self.workers):
            if stopping():
                return
            yield self._within_limit(chunk)

    def _within_limit(self, chunk: list[Ticket]) -> list[Finished]:
        if self._problem is None:
            raise WorkersLost("the in-process backend was not started; call start(problem) before run()")
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
