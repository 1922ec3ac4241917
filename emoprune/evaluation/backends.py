"""What every backend promises, and the pace that all of them keep: how much a worker gets, and when it is late."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from emoprune.contracts import Problem
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Ran

__all__ = ["Backend", "Finished", "Pace"]

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
