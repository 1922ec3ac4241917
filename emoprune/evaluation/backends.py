"""What every backend promises, and the pace that all of them keep: how much a worker gets, and when it is late."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from emoprune.contracts import Problem
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Ran

__all__ = ["STRETCH", "Backend", "Finished", "Pace", "in_order"]

MOST_PER_CHUNK = 64
WORTHWHILE = 0.01  # seconds that a chunk should take; sending its outcomes costs about a tenth of a millisecond
STRETCH = 0.1  # seconds of chunks that a worker is handed at once; handing them over costs about one millisecond
MOST_PER_STRETCH = 256  # chunks


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A ticket with its outcome."""

    ticket: Ticket
    outcome: Outcome
    ran: Ran


class Backend(Protocol):
    """Where evaluations happen; every backend gives the same outcomes for the same tickets."""

    workers: int

    @property
    def address(self) -> str | None:
        """Of the cluster that was joined by `open`; None where there is none."""
        ...

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
    """How many candidates one call of `evaluate` gets, how many such chunks a worker, and when one of them is late.

    Learnt from how long evaluations take: as nothing is known of what a chunk has come to before it is over, a chunk
    that was not asked for is of one candidate until it is known that several take no time.

    Args:
        chunk: Candidates per chunk as the user wants it; None to choose.
        time_limit: Seconds for one evaluation, or None.
    """

    def __init__(self, chunk: int | None, time_limit: float | None) -> None:
        self._chunk = chunk
        self._time_limit = time_limit
        self._seconds: float | None = None

    def note(self, seconds: float, count: int) -> None:
        """Learn that `count` evaluations in a row took `seconds`; a slow one is not soon forgotten."""
        each = max(seconds / count, 1e-9)
        self._seconds = each if self._seconds is None else max(each, self._seconds / 2)

    @property
    def length(self) -> int:
        """How many candidates a chunk should hold."""
        if self._chunk is not None:
            return self._chunk
        return 1 if self._seconds is None else max(1, min(MOST_PER_CHUNK, int(WORTHWHILE / self._seconds)))

    @property
    def stretch(self) -> int:
        """How many chunks a worker should be handed at once."""
        if self._seconds is None:
            return 1
        return max(1, min(MOST_PER_STRETCH, int(STRETCH / (self._seconds * self.length))))

    def limit(self, count: int) -> float | None:
        """Return after how many seconds a chunk of `count` is late; its candidates are then measured one by one.

        A chunk that was chosen here gets no longer than one evaluation may take, so that one that hangs is found soon.
        """
        if self._time_limit is None:
            return None
        return self._time_limit * (1 if self._chunk is None else count)


def in_order(tickets: Sequence[Ticket]) -> list[list[Ticket]]:
    """Sort tickets by key, so that neighbours share long prefixes; those of each stage and split by themselves."""
    ordered = sorted(tickets, key=lambda ticket: (ticket.kind, ticket.key))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda ticket: ticket.kind)]
