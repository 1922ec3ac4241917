"""A pool of workers: starts them, hands chunks to them, replaces the lost and lets go of those that do not come up."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from emoprune.cluster.dispatch import Chunk
from emoprune.cluster.failures import details
from emoprune.cluster.resources import Share
from emoprune.cluster.worker import Answer, Worker, environment, packed, unpacked
from emoprune.errors import EmopruneError, WorkersLost

__all__ = ["Arrived", "Slot", "WorkerPool"]

FEWEST_STARTS = 3  # that must fail in a row before workers are given up
FETCH_WITHIN = 30.0  # seconds; a result that has arrived is here at once, unless its machine has just gone
BUSY = "`ray status` shows whether others take its room, evaluation.start_limit gives it longer"

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one worker: at first it is awaited (no `name` yet), then free, or busy with a stretch of chunks."""

    actor: Any  # ray makes the class of an actor's handle at run time
    awaited: Any  # a reference to the name, or a generator of references to answers; None while free
    since: float
    name: str = ""
    stretch: deque[Chunk] = field(default_factory=deque)
    answered: int = 0  # chunks of this stretch
    crowded: bool = False  # whether others were at work in the meantime

    @property
    def free(self) -> bool:
        """Whether there is a worker here and it has nothing to do."""
        return bool(self.name) and not self.stretch

    def late(self, limit: float | None) -> bool:
        """Whether the chunk under way has taken longer than `limit` seconds, if there is one."""
        return limit is not None and self.seconds > limit

    @property
    def seconds(self) -> float:
        """How long the start, or the chunk under way, has taken."""
        return time.monotonic() - self.since


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """What has come from a worker: answers to the next chunks of its stretch, and how the stretch ended if it did."""

    answers: list[Answer]
    error: RayError | None = None
    over: bool = False


class WorkerPool:
    """Up to `size` workers with one problem.

    Args:
        size: How many workers are wanted.
        share: What each takes of its machine.
        threads: What numerical libraries are kept to.
        start_limit: Seconds for a worker to be placed and set up.
        preparation: Arguments of `Worker.prepare`.
        session: The folder of Ray's session, if it is known.
    """

    def __init__(
        self,
        size: int,
        share: Share,
        *,
        threads: int,
        start_limit: float,
        preparation: Sequence[object],
        session: str | None,
    ) -> None:
        options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0}
        options |= {"max_task_retries": 0, "runtime_env": {"env_vars": environment(threads)}}
        self._actor_class: Any = ray.remote(**options)(Worker)
        self._share = share
        self._size = size
        self._start_limit = start_limit
        self._preparation = preparation
        self._session = session
        self._failed_starts = 0
        self._given_up = 0
        self.together = size  # workers that measure at a time; fewer after memory ran out
        self._proven = False  # that memory runs out for several only
        self._slots = [self._slot() for _ in range(size)]

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def busy(self) -> list[Slot]:
        """The slots with chunks under way."""
        return [slot for slot in self._slots if slot.stretch]

    @property
    def free(self) -> list[Slot]:
        """The slots whose worker waits for a chunk."""
        return [slot for slot in self._slots if slot.free]

    def _slot(self) -> Slot:
        actor = self._actor_class.remote()
        return Slot(actor, actor.prepare.remote(*self._preparation), time.monotonic())

    def give(self, slot: Slot, stretch: Sequence[Chunk]) -> None:
        """Have the free worker of `slot` measure chunks."""
        others = self.busy
        for other in others:
            other.crowded = True
        slot.stretch, slot.answered, slot.crowded = deque(stretch), 0, bool(others)
        slot.awaited = slot.actor.measure.remote(packed([chunk.tickets for chunk in stretch]))
        slot.since = time.monotonic()

    def release(self, slot: Slot) -> list[Chunk]:
        """Note that the worker of `slot` is free; return what it has not begun."""
        left = list(slot.stretch)
        slot.stretch.clear()
        slot.awaited = None
        return left

    def ready(self, timeout: float) -> list[Slot]:
        """Return the slots for which something is there, waiting up to `timeout` seconds for the first."""
        awaited = {slot.awaited: slot for slot in self._slots if slot.awaited is not None}
        if not awaited:
            time.sleep(timeout)
            return []
        first, _ = ray.wait(list(awaited), timeout=timeout)
        return [awaited[reference] for reference in first]

    def arrived(self, slot: Slot) -> Arrived:
        """Return all that is there for a busy slot for which something is."""
        references: list[Any] = []
        over = False
        while len(references) < len(slot.stretch) and (not references or slot.awaited.next_ready()):
            try:
                references.append(next(slot.awaited))
            except StopIteration:
                over = True
                break
        answers, error = _fetched(references)
        slot.since = time.monotonic()
        return Arrived(answers, error, over or len(answers) == len(slot.stretch))

    def overdue(self, limit: Callable[[int], float | None]) -> list[Slot]:
        """Return the busy slots that are past the `limit` of a chunk of that size, with nothing arrived yet."""
        late = [slot for slot in self.busy if slot.late(limit(len(slot.stretch[0])))]
        return [slot for slot in late if not _is_there(slot)]

    def take_in(self, slot: Slot) -> None:
        """Take in a worker whose start has ended, or deal with why it did not come up.

        Raises:
            WorkersLost: It was the last hope.
            EmopruneError: The problem's setup raised it, in these words.
        """
        try:
            slot.name = ray.get(slot.awaited, timeout=FETCH_WITHIN)
        except RayTaskError as error:
            if isinstance(error.cause, EmopruneError):
                raise error.cause from error
            self._start_failed(slot, details(error, self._session))
        except RayError as error:
            self._start_failed(slot, details(error, self._session))
        else:
            slot.awaited = None
            self._failed_starts = 0

    def _start_failed(self, slot: Slot, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts < max(FEWEST_STARTS, self._size):
            self.replace(slot)
        else:
            self._give_up(slot, f"workers failed to start {self._failed_starts} times in a row: {why}")

    def give_up_late(self) -> None:
        """Let go of workers that have not come up in time.

        Raises:
            WorkersLost: Nobody is left.
        """
        for slot in [each for each in self._slots if not each.name and each.seconds > self._start_limit]:
            if not _is_there(slot):
                self._give_up(slot, f"a worker was not placed and set up within {self._start_limit:g} s; {BUSY}")

    def _give_up(self, slot: Slot, why: str) -> None:
        self._slots.remove(slot)
        self._given_up += 1
        ray.kill(slot.actor)
        if not self._slots:
            raise WorkersLost(f"no worker is left: {why}")
        log.warning("going on with %d of %d workers: %s", len(self._slots), self._size, why)

    def fewer(self) -> None:
        """Let one worker less measure at a time: memory ran out."""
        if self.together > 1:
            self.together -= 1
            log.warning("memory ran out: from now on at most %d candidates are measured at a time", self.together)

    def settle(self, *, fits: bool) -> None:
        """Note whether memory was enough for a candidate that was alone: if for none, several are not to blame."""
        self._proven = self._proven or fits
        if not self._proven:
            self.together = min(self._size, self.together + 1)
            self.refill()

    def replace(self, slot: Slot) -> None:
        """Put a new worker in the place of a lost one, awaited like at the start, unless fewer are enough."""
        ray.kill(slot.actor)
        if len(self._slots) > self.together:
            self._slots.remove(slot)
        else:
            self._slots[self._slots.index(slot)] = self._slot()

    def let_go(self, slot: Slot) -> None:
        """Do without the worker of `slot`."""
        ray.kill(slot.actor)
        self._slots.remove(slot)

    def abandon(self) -> None:
        """Stop what is under way: its results are not wanted any more."""
        for slot in self.busy:
            ray.kill(slot.actor)
            self._slots.remove(slot)

    def refill(self) -> None:
        """Start workers for abandoned slots, and try one of those that were given up if there is room again."""
        if self._given_up and self._share.fits(ray.available_resources()) > 0:  # type: ignore[no-untyped-call]  # ray leaves it untyped
            self._given_up -= 1
        wanted = min(self._size - self._given_up, self.together)
        self._slots += [self._slot() for _ in range(wanted - len(self._slots))]

    def end(self) -> None:
        """End all workers."""
        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots.clear()


def _fetched(references: Sequence[Any]) -> tuple[list[Answer], RayError | None]:
    """Return the answers up to the first error, and the error."""
    try:
        return list(map(unpacked, ray.get(list(references), timeout=FETCH_WITHIN))), None
    except RayError as error:
        if len(references) == 1:
            return [], error
    answers: list[Answer] = []
    for reference in references:
        found, error_here = _fetched([reference])
        if error_here is not None:
            return answers, error_here
        answers += found
    return answers, None


def _is_there(slot: Slot) -> bool:
    return slot.awaited is not None and bool(ray.wait([slot.awaited], timeout=0)[0])
