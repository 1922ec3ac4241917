"""The books on tickets: which wait, what a loss means for them, and when losses are too many to go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from emoprune.evaluation.backends import Finished, in_order
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Ran, Status

__all__ = ["Chunk", "Queue"]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Tickets that one worker measures in one go.

    `attempt` counts from 1; `losses` counts the workers that were lost with this ticket, as far as they use up retries.
    While a `lonely` one is measured no other worker does anything.
    """

    tickets: tuple[Ticket, ...]
    attempt: int = 1
    losses: int = 0
    lonely: bool = False

    def __len__(self) -> int:
        return len(self.tickets)

    def again(self, *, losses: int | None = None, lonely: bool = False) -> list[Chunk]:
        """Return the next attempt for each ticket by itself."""
        lost = self.losses if losses is None else losses
        return [Chunk((ticket,), self.attempt + 1, lost, lonely) for ticket in self.tickets]


class Queue:
    """Tickets that wait for a worker; every one leaves as finished exactly once, or stays.

    Each worker goes through a run of neighbours, because these share work; one that is done takes half of what the
    slowest has left.

    Args:
        tickets: To be measured.
        workers: In how many runs they are cut.
        retries: How often a ticket whose worker was lost is tried again; once at least where it was not alone.
        patience: After so many losses in a row, with different tickets alone and nothing measured in between,
            `hopeless`.
    """

    def __init__(self, tickets: Sequence[Ticket], workers: int, retries: int, patience: int) -> None:
        length = max(1, -(-len(tickets) // max(1, workers)))
        self._runs: deque[deque[Ticket]] = deque(
            deque(group[start : start + length])
            for group in in_order(tickets)
            for start in range(0, len(group), length)
        )
        self._taken: dict[Hashable, deque[Ticket]] = {}
        self._first: deque[Chunk] = deque()  # before all others, so that it soon shows who is to blame
        self._last: deque[Chunk] = deque()  # after all others, which show meanwhile whether workers are well
        self._lonely: deque[Chunk] = deque()
        self._retries = retries
        self._patience = patience
        self._measured = 0
        self._lost: set[tuple[str | None, int]] = set()

    def __len__(self) -> int:
        alone = len(self._first) + len(self._last) + len(self._lonely)
        return alone + sum(map(len, self._runs)) + sum(map(len, self._taken.values()))

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

    def take(self, worker: Hashable, length: int, most: int, *, nobody_else: bool = True) -> list[Chunk]:
        """Hand out what a worker does next: at most `most` chunks of up to `length` tickets, or nothing for now.

        Args:
            worker: Who takes them; it goes on where it was.
            length: Tickets per chunk.
            most: Chunks at once.
            nobody_else: Whether no other worker is at work; only then a lonely chunk is handed out.
        """
        if self._first:
            return [self._first.popleft()]
        run = self._run_of(worker)
        if run:
            count = min(most, -(-len(run) // length))
            sizes = (min(length, len(run)) for _ in range(count))
            return [Chunk(tuple(run.popleft() for _ in range(size))) for size in sizes]
        if self._last:
            return [self._last.popleft()]
        return [self._lonely.popleft()] if self._lonely and nobody_else else []

    def _run_of(self, worker: Hashable) -> deque[Ticket]:
        own = self._taken.setdefault(worker, deque())
        if not own and self._runs:
            own = self._taken[worker] = self._runs.popleft()
        if not own:
            longest = max(self._taken.values(), key=len)
            own.extendleft(longest.pop() for _ in range(-(-len(longest) // 2)))
        return own

    def returned(self, worker: Hashable, chunks: Sequence[Chunk]) -> None:
        """Take back what a worker has not begun; it comes next."""
        whole = [ticket for chunk in chunks for ticket in chunk.tickets]
        if whole:
            self._taken.setdefault(worker, deque()).extendleft(reversed(whole))

    def left(self, worker: Hashable) -> None:
        """Give what a worker that is gone would have done to whoever comes next."""
        run = self._taken.pop(worker, None)
        if run:
            self._runs.appendleft(run)

    def measured(
        self, chunk: Chunk, outcomes: Sequence[Outcome], worker: str, seconds: float, *, crowded: bool = False
    ) -> list[Finished]:
        """Note that a worker has returned `outcomes`, one per ticket, after `seconds`.

        Where it is `crowded`, because others work there too, a ticket that ran out of memory is not finished: it is
        tried with the machines to itself.
        """
        self._lost.clear()
        self._measured += len(chunk)
        ran = Ran(worker, seconds / len(chunk), chunk.attempt)
        finished = []
        for ticket, outcome in zip(chunk.tickets, outcomes, strict=True):
            if crowded and not chunk.lonely and outcome.status is Status.OUT_OF_MEMORY:
                self._lonely += Chunk((ticket,), chunk.attempt, chunk.losses).again(lonely=True)
            else:
                finished.append(Finished(ticket, outcome, ran))
        return finished

    def lost(
        self, chunk: Chunk, outcome: Outcome, worker: str, seconds: float, *, certain: bool = True
    ) -> list[Finished]:
        """Note that the worker died; try again as often as is allowed, then blame the ticket with `outcome`.

        The last time it is tried it is lonely: what killed it may have been what others took of the machine.

        Args:
            chunk: What was under way.
            outcome: How it ends if it is to blame.
            worker: Who died.
            seconds: How long it was under way.
            certain: Whether it must have been under way; else the outcomes of it may have been lost with the worker,
                which died of the next, so it is tried again in any case.
        """
        if len(chunk) > 1:  # nobody knows which one it was: each is tried again, once at the least
            losses = min(1, self._retries)
            if losses == self._retries:
                self._lonely.extend(chunk.again(losses=losses, lonely=True))
            else:
                self._first.extendleft(reversed(chunk.again(losses=losses)))
            return []
        self._lost.add((chunk.tickets[0].stage, chunk.tickets[0].candidate.id))
        losses = chunk.losses + 1
        if certain and losses > self._retries:
            return self.blamed(chunk, outcome, worker, seconds)
        last = losses >= self._retries
        (self._lonely if last else self._last).extend(chunk.again(losses=losses, lonely=last))
        return []

    def exhausted(self, chunk: Chunk, outcome: Outcome, worker: str, seconds: float) -> list[Finished]:
        """Note that memory ran out; a ticket is tried with the machine to itself before it is blamed."""
        if len(chunk) > 1 or chunk.lonely:
            return self.blamed(chunk, outcome, worker, seconds)
        self._lonely.extend(chunk.again(lonely=True))
        return []

    def blamed(self, chunk: Chunk, outcome: Outcome, worker: str, seconds: float) -> list[Finished]:
        """Note that a chunk came to nothing: one ticket alone ends with `outcome`, of several each is tried alone."""
        if len(chunk) > 1:
            self._first.extendleft(reversed(chunk.again()))
            return []
        return [Finished(chunk.tickets[0], outcome, Ran(worker, seconds, chunk.attempt))]
