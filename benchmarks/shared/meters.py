"""What a process has used: time on the clock and on the processor, and memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Meter", "peak_megabytes", "resident_megabytes", "spent"]


class Meter:
    """Adds up the wall and CPU seconds of this process inside its `with` blocks."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu


def resident_megabytes() -> float:
    """Return the memory that this process holds now."""
    return _status("VmRSS")


def peak_megabytes() -> float:
    """Return the most that this process ever held."""
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"expected {name} in /proc/self/status, found none; memory is measured on Linux only")


def spent() -> float:
    """Return the CPU seconds of this process and of those it waited for."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
