"""Places for workers: what each of them is at, and what has come from it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from emoprune.cluster.dispatch import Chunk
from emoprune.cluster.worker import Answer, unpacked

__all__ = ["FETCH_WITHIN", "Arrived", "Slot"]

FETCH_WITHIN = 30.0  # seconds; a result that has arrived is here at once, unless its machine has just gone


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """What has come from a worker: answers to the next chunks of its stretch, and how the stretch ended if it did."""

    answers: list[Answer]
    error: RayError | None = None
    over: bool = False


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

    @property
    def is_there(self) -> bool:
        """Whether something has come that was awaited."""
        return self.awaited is not None and bool(ray.wait([self.awaited], timeout=0)[0])

    def arrived(self) -> Arrived:
        """Return all that is there while busy; something must be."""
        references: list[Any] = []
        over = False
        while len(references) < len(self.stretch) and (not references or self.awaited.next_ready()):
            try:
                references.append(next(self.awaited))
            except StopIteration:
                over = True
                break
        answers, error = _fetched(references)
        self.since = time.monotonic()
        return Arrived(answers, error, over or len(answers) == len(self.stretch))

    def release(self) -> list[Chunk]:
        """Note that the worker is free; return what it has not begun."""
        left = list(self.stretch)
        self.stretch.clear()
        self.awaited = None
        return left


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
