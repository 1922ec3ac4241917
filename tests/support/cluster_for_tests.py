"""Tickets, backends and problems with faults, for the tests of the Ray backend and for the processes they start."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from problems_for_tests import Knapsack12

from emoprune.cluster import RayActors, Share
from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.serial import Serial
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Candidate, Split, seed_for
from emoprune.space import IntArray

__all__ = [
    "Cramped",
    "Fatal",
    "NoSetup",
    "Noted",
    "Start",
    "actors",
    "in_process",
    "marked",
    "never",
    "noted",
    "outcomes",
    "tickets_of",
]

BITS = 12

Start = Callable[..., RayActors]


def tickets_of(problem: Problem, count: int) -> list[Ticket]:
    """Return tickets for `count` genomes, scattered over the space; the candidate's id is the genome as a number."""
    numbers = np.random.default_rng(3).permutation(2**BITS)[:count]
    genomes = (numbers[:, None] >> np.arange(BITS)) & 1
    keys = problem.space.keys(genomes)
    rows = zip(numbers.tolist(), genomes, keys, strict=True)
    return [
        Ticket(Candidate(number, genome, 0, "initial"), Split.SEARCH, seed_for(1, key, Split.SEARCH), key)
        for number, genome, key in rows
    ]


def actors(**changed: Any) -> RayActors:
    """Return a backend with two workers, not opened, with some of its settings changed."""
    share = {"cpus_per_worker": 1.0, "gpus_per_worker": 0.0, "memory": 0.0, "resources": {}, "labels": {}}
    share = {name: changed.pop(name, value) for name, value in share.items()}
    settings: dict[str, Any] = {"workers": 2, "address": None, "share": Share(*share.values()), "runtime_env": {}}
    settings |= {"device": "cpu", "threads": 1, "time_limit": 60.0, "start_limit": 60.0, "retries": 2, "chunk": None}
    return RayActors(**{**settings, **changed})


def never() -> bool:
    """Return False: this run is not to stop."""
    return False


def outcomes(pieces: Iterator[list[Finished]]) -> dict[int, Outcome]:
    """Return outcomes by candidate, in no order; a ticket that is reported twice is an error."""
    finished = [each for piece in pieces for each in piece]
    found = {each.ticket.candidate.id: each.outcome for each in finished}
    assert len(found) == len(finished)
    return found


def in_process(problem: Problem, tickets: Sequence[Ticket]) -> dict[int, Outcome]:
    """Return the outcomes that every backend must give."""
    backend = Serial("cpu", 1, None, None)
    backend.start(problem)
    return outcomes(backend.run(tickets, never))


class Fatal(Knapsack12):
    """A knapsack in which measuring some genomes ends in a fault, so many times; the folder counts them.

    Args:
        folder: Gets one file per fault, so that the count outlives the process.
        fault: The name of one of the methods below.
        numbers: The genomes, as numbers; None for all.
        times: How often it happens; None for always.
        pause: Seconds that measuring one genome takes on top.
    """

    def __init__(
        self, folder: Path, fault: str, numbers: Sequence[int] | None, times: int | None, pause: float = 0.0
    ) -> None:
        super().__init__(pause=pause)
        self._folder = folder
        self._fault = fault
        self._numbers = numbers
        self._times = times

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Fail if one of the genomes is to, else measure."""
        numbers = (genomes @ (1 << np.arange(BITS))).tolist()
        if self._numbers is None or set(numbers) & set(self._numbers):
            self._perhaps()
        return super().evaluate(genomes, seeds, split)

    def _perhaps(self) -> None:
        happened = len(list(self._folder.iterdir()))
        if self._times is None or happened < self._times:
            (self._folder / f"{time.time_ns()}-{os.getpid()}").touch()
            getattr(self, self._fault)()

    def kill(self) -> NoReturn:
        """Be killed like by the kernel when memory runs out."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    def hang(self) -> NoReturn:
        """Never return, and mind no signal that can be ignored."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            time.sleep(1)

    def fault(self) -> NoReturn:
        """Reach where there is nothing."""
        ctypes.string_at(0)
        raise AssertionError("unreachable")

    def exit(self) -> NoReturn:
        """End the process past Python."""
        os._exit(3)

    def die(self) -> NoReturn:
        """Be asked to end, as by a batch system."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        raise AssertionError("unreachable")

    def swell(self) -> NoReturn:
        """Take 3 GiB of memory, and keep them."""
        held = np.ones(3 * 2**27)
        time.sleep(60)
        raise AssertionError(f"{held.nbytes} bytes were let have")

    def leave(self) -> NoReturn:
        """Call what ends a script."""
        sys.exit(5)

    def abort(self) -> NoReturn:
        """Raise what no `except Exception` catches."""
        raise GeneratorExit("not an Exception")


class Noted(Fatal):
    """A `Fatal` in which each process writes down, in a file of its own, every genome that it was done with."""

    def __init__(self, notes: Path, *fault: Any, pause: float = 0.0) -> None:
        super().__init__(*fault, pause=pause)
        self._notes = notes

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Measure, then write down what was measured on which split."""
        values = super().evaluate(genomes, seeds, split)
        with (self._notes / str(os.getpid())).open("a", encoding="utf-8") as file:
            file.writelines(f"{split.value} {number}\n" for number in (genomes @ (1 << np.arange(BITS))).tolist())
        return values


class Cramped(Knapsack12):
    """A knapsack for which memory runs out whenever two processes measure at a time, and for some genomes always."""

    def __init__(self, folder: Path, numbers: Sequence[int] = ()) -> None:
        super().__init__(pause=0.03)
        self._folder = folder
        self._numbers = set(numbers)
        self._met = False

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Measure, if that can be."""
        mine = self._folder / str(os.getpid())
        mine.touch()
        try:
            self._meet()
            values = super().evaluate(genomes, seeds, split)
            if len(list(self._folder.iterdir())) > 1 or self._numbers & set(
                (genomes @ (1 << np.arange(BITS))).tolist()
            ):
                raise MemoryError("no room for two")
            return values
        finally:
            mine.unlink()

    def _meet(self) -> None:
        """Wait for another process, once: on a busy machine the first one could measure all by itself."""
        limit = time.monotonic() + 10
        while not self._met and len(list(self._folder.iterdir())) < 2 and time.monotonic() < limit:
            time.sleep(0.01)
        self._met = True


def noted(notes: Path) -> Counter[str]:
    """Return how often each genome was done with, over all processes."""
    return Counter(line for file in notes.iterdir() for line in file.read_text(encoding="utf-8").splitlines())


class NoSetup(Knapsack12):
    """A knapsack whose setup ends in a fault after it has worked so many times; the folder counts them."""

    def __init__(self, folder: Path, fault: str, works: int = 0) -> None:
        super().__init__()
        self._folder = folder
        self._fault = fault
        self._works = works

    def setup(self, device: str, threads: int) -> None:
        """Fail, or set up."""
        if len(list(self._folder.iterdir())) >= self._works:
            self.fail()
        (self._folder / f"{time.time_ns()}-{os.getpid()}").touch()
        super().setup(device, threads)

    def fail(self) -> None:
        """Raise, be wrong about the config, end the process in one way or another, or crash in native code."""
        if self._fault == "segfault":
            ctypes.string_at(0)
        if self._fault == "exit":
            os._exit(3)
        if self._fault == "leave":
            sys.exit(3)
        raise {"raise": ValueError, "config": ConfigError}[self._fault]("the images are not where they should be")

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Kill the first worker that measures anything, if setup works at first; else measure."""
        if self._works and self._is_first():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(genomes, seeds, split)

    def _is_first(self) -> bool:
        """Say whether this process is the first to ask, of several that may ask at once."""
        try:
            (self._folder.parent / "killed").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def marked(mark: str) -> set[int]:
    """Return the living processes whose environment holds `mark`.

    Ray's two agents are left out: without a head to tell, they take about a minute to end, but they do nothing.
    """
    found = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            is_marked = folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes()
            if is_marked and b"Agent" not in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found
