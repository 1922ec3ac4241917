"""Where a search stands, for anyone who looks: a snapshot in memory, and status.json every two seconds."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from emoprune.records import Progress, State

__all__ = ["Heartbeat", "continuing", "starting", "watched"]

Step = TypeVar("Step")

INTERVAL = 2.0  # seconds


def starting(generations: int, seconds: float = 0.0) -> Progress:
    """Return the snapshot of a search that has not evaluated anything yet."""
    return Progress(
        state=State.RUNNING,
        generations=generations,
        seconds=seconds,
        updated=_now(),
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def continuing(before: Progress, generations: int) -> Progress:
    """Return the snapshot of a search that goes on, with what was there `before`, until its files are read."""
    kept = {name: getattr(before, name) for name in ("generation", "evaluated", "failed", "front", "hypervolume")}
    now = starting(generations, before.seconds)
    return replace(now, **kept, best=before.best, stages=before.stages, spent=before.spent)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Heartbeat:
    """Keeps a Progress up to date and has it written regularly, by a thread that ends with the `with` block.

    The clock is monotonic and goes on from the seconds of the first snapshot, so a resumed run counts all its time.
    """

    def __init__(self, first: Progress, write: Callable[[Progress], None]) -> None:
        self._progress = first
        self._write = write
        self._begun = time.monotonic() - first.seconds
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._beat, name="emoprune-heartbeat", daemon=True)

    @property
    def seconds(self) -> float:
        """The run's time so far, over all its sessions."""
        return time.monotonic() - self._begun

    @property
    def progress(self) -> Progress:
        """The snapshot of this moment."""
        current = self._progress
        return replace(current, seconds=self.seconds, updated=_now()) if current.state is State.RUNNING else current

    def update(self, **changes: Any) -> None:
        """Change members of the snapshot.

        Raises:
            StorageError: An earlier beat could not be written.
        """
        if self._failure is not None:
            raise self._failure
        self._progress = replace(self._progress, seconds=self.seconds, updated=_now(), **changes)

    def end(self, state: State, message: str | None) -> None:
        """Set the last state and write it."""
        self._stop()
        self._progress = replace(
            self._progress, state=state, message=message, remaining=None, seconds=self.seconds, updated=_now()
        )
        self._write(self._progress)

    def __enter__(self) -> Self:
        self._write(self.progress)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(INTERVAL):
            try:
                self._write(self.progress)
            except Exception as error:  # raised in the search's own thread at its next step
                self._failure = error
                return


def watched(
    heartbeat: Heartbeat, steps: Iterator[Step], stopped: Callable[[], bool], ended: Callable[[], str | None]
) -> Generator[Step]:
    """Take the steps of a search and leave its last state behind, however they end.

    Args:
        heartbeat: Its snapshot.
        steps: What is iterated over.
        stopped: Whether it was asked to stop.
        ended: Why it ended, in words, once it has.
    """
    try:
        yield from steps
    except (KeyboardInterrupt, GeneratorExit):
        heartbeat.end(State.INTERRUPTED, "interrupted; `emoprune resume` continues it")
        raise
    except BaseException as error:
        heartbeat.end(State.FAILED, f"{type(error).__name__}: {error}")
        raise
    heartbeat.end(State.INTERRUPTED if stopped() else State.FINISHED, ended())
