"""The books on tickets: which wait, what a loss means for them, and when losses are too many to go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from emoprune.evaluation.backends import Finished
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Ran

__all__ = ["Chunk", "Queue"]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Tickets that one worker measures in one go.

    `attempt` counts from 1; `losses` counts the workers that were lost with this ticket alone.
    """

    tickets: tuple[Ticket, ...]
    attempt: int = 1
    losses: int = 0

    def __len__(self) -> int:
        return len(self.tickets)


class Queue:
    """Chunks that wait for a worker; every ticket leaves it as finished exactly once, or stays.

    Args:
        chunks: Tickets, cut.
        retries: How often a ticket that was lost alone is tried again.
        patience: After so many losses in a row, with different tickets alone and nothing measured in between,
            `hopeless`.
    """

    def __init__(self, chunks: Sequence[Sequence[Ticket]], retries: int, patience: int) -> None:
        self._waiting = deque(Chunk(tuple(tickets)) for tickets in chunks)
        self._retries = retries
        self._patience = patience
        self._measured = 0
        self._lost: set[tuple[str | None, int]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def lost_in_a_row(self) -> int:
        """With how many different tickets, each alone, workers were lost since anything was measured."""
        return len(self._lost)

    @property
    def hopeless(self) -> bool:
        """Whether the workers are to blame rather than the candidates.

        Candidates that kill every worker end up last in the queue, all in a row; so when more was measured than is
        lost, they are blamed, each on its own.
        """
        return self.lost_in_a_row >= max(self._patience, self._measured + 1)

    def take(self) -> Chunk:
        """Hand out the next chunk."""
        return self._waiting.popleft()

    def measured(self, chunk: Chunk, outcomes: Sequence[Outcome], worker: str, seconds: float) -> list[Finished]:
        """Note that a worker has returned `outcomes`, one per ticket, after `seconds`."""
        self._lost.clear()
        self._measured += len(chunk)
        ran = Ran(worker, seconds / len(chunk), chunk.attempt)
        return [Finished(ticket, outcome, ran) for ticket, outcome in zip(chunk.tickets, outcomes, strict=True)]

    def lost(self, chunk: Chunk, outcome: Outcome, worker: str, seconds: float) -> list[Finished]:
        """Note that the worker died; try again as often as is allowed, then blame the ticket with `outcome`."""
        if len(chunk) == 1:
            self._lost.add((chunk.tickets[0].stage, chunk.tickets[0].candidate.id))
        if len(chunk) == 1 and chunk.losses < self._retries:
            # At the back, so that others show meanwhile whether workers are well.
            self._waiting.append(Chunk(chunk.tickets, chunk.attempt + 1, chunk.losses + 1))
            return []
        return self.blamed(chunk, outcome, worker, seconds)

    def blamed(self, chunk: Chunk, outcome: Outcome, worker: str, seconds: float) -> list[Finished]:
        """Note that a chunk came to nothing: one ticket alone ends with `outcome`, of several each is tried alone."""
        if len(chunk) > 1:
            # At the front, so that it soon shows whether one of them is to blame or the workers are.
            self._waiting.extendleft(Chunk((ticket,), chunk.attempt + 1) for ticket in reversed(chunk.tickets))
            return []
        return [Finished(chunk.tickets[0], outcome, Ran(worker, seconds, chunk.attempt))]
