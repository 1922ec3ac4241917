"""A pool of workers: starts them, hands chunks to them, replaces the lost and lets go of those that do not come up."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from emoprune.cluster.dispatch import Chunk
from emoprune.cluster.failures import details
from emoprune.cluster.resources import Share
from emoprune.cluster.slots import FETCH_WITHIN, Slot
from emoprune.cluster.worker import Worker, packed
from emoprune.errors import ConfigError, EmopruneError, WorkersLost

__all__ = ["WorkerPool", "actor_class"]

FEWEST_STARTS = 3  # that must fail in a row before workers are given up
BUSY = "`ray status` shows whether others take its room, evaluation.start_limit gives it longer"

log = logging.getLogger(__name__)


def actor_class(share: Share, runtime_env: Mapping[str, Any]) -> Any:
    """Return the class of Ray's actors that hold a `Worker`, each with its share of a machine.

    Raises:
        ConfigError: Ray does not take such a share.
    """
    options = {**share.options(), "runtime_env": dict(runtime_env)}
    try:
        return ray.remote(**options, max_restarts=0, max_task_retries=0)(Worker)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"evaluation: Ray does not take {share.options()} for a worker: {error}") from error


class WorkerPool:
    """Up to `size` workers with one problem.

    Args:
        size: How many workers are wanted.
        share: What each takes of its machine.
        kind: The class of their actors.
        start_limit: Seconds for a worker to be placed and set up.
        preparation: Arguments of `Worker.prepare`.
        session: The folder of Ray's session, if it is known.
    """

    def __init__(
        self,
        size: int,
        share: Share,
        kind: Any,
        *,
        start_limit: float,
        preparation: Sequence[object],
        session: str | None,
    ) -> None:
        self._actor_class = kind
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

    def ready(self, timeout: float) -> list[Slot]:
        """Return the slots for which something is there, waiting up to `timeout` seconds for the first."""
        awaited = {slot.awaited: slot for slot in self._slots if slot.awaited is not None}
        if not awaited:
            time.sleep(timeout)
            return []
        first, _ = ray.wait(list(awaited), timeout=timeout)
        return [awaited[reference] for reference in first]

    def overdue(self, limit: Callable[[int], float | None]) -> list[Slot]:
        """Return the busy slots that are past the `limit` of a chunk of that size, with nothing arrived yet."""
        late = [slot for slot in self.busy if slot.late(limit(len(slot.stretch[0])))]
        return [slot for slot in late if not slot.is_there]

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
            if not slot.is_there:
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

    def grow(self, size: int) -> None:
        """Have up to `size` workers: machines have joined."""
        more = size - self._size
        if more > 0:
            log.info("machines have joined: %d workers instead of %d", size, self._size)
            self._size += more
            self.together += more
        self.refill()

    def end(self) -> None:
        """End all workers."""
        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots.clear()
