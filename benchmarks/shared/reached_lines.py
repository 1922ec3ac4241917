"""Which lines of a folder run during which test, in its process and in those it starts: a tracer and pytest's plugin.

It is copied into an environment of its own, where every interpreter imports it at its start, as a `.pth` file says, and
traces if REACHED_LINES names a folder for what it finds and REACHED_SOURCE one with sources. Standard library alone: it
runs before anything else is there. Under xdist, reports of all workers come to the first process as
well; it runs no test, and writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

SOURCE = os.environ.get("REACHED_SOURCE", "") + os.sep
ROOT = SOURCE[: SOURCE.rstrip(os.sep).rfind(os.sep) + 1]
FOUND = os.environ.get("REACHED_LINES", "")

reached: set[tuple[str, int]] = set()
_places: dict[str, str] = {}  # relative path of each file; empty for what is not looked at
_child: list[int] = []  # the open file of a process that a test started


def _global(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:  # noqa: ARG001  # as tracers are called
    name = frame.f_code.co_filename
    place = _places.get(name)
    if place is None:
        place = _places[name] = name[len(ROOT) :] if name.startswith(SOURCE) else ""
    return _local if place else None


def _local(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:  # noqa: ARG001  # as tracers are called
    if event == "line":
        line = (_places[frame.f_code.co_filename], frame.f_lineno)
        if line not in reached:
            reached.add(line)
            if _child:
                with contextlib.suppress(OSError):  # a test may keep its process from writing
                    os.write(_child[0], f"{line[0]}:{line[1]}\n".encode())  # at once: processes of tests are killed
    return _local


def begin() -> None:
    """Trace this process; what a test started says so under the test's name."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
    if test:
        name = Path(FOUND) / f"child-{os.getpid()}-{time.time_ns()}"
        _child.append(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        os.write(_child[0], f"{test}\n".encode())
    threading.settrace(_global)
    sys.settrace(_global)


_test: dict[str, Any] = {}  # what is known of the test that runs


def pytest_runtest_protocol(item: Any) -> None:
    """Begin a test in the process of pytest, which is none that a test started."""
    _child.clear()
    reached.clear()
    _test.update(test=item.nodeid, passed=True, begun=time.perf_counter())


def pytest_runtest_logreport(report: Any) -> None:
    """Remember a failure in any phase."""
    if _test:
        _test["passed"] &= report.outcome != "failed"


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Write one line of JSON: the test, its seconds, whether it passed, and the lines it reached."""
    if not _test:
        return
    lines: dict[str, list[int]] = {}
    for path, line in list(reached):
        lines.setdefault(path, []).append(line)
    fact = {"test": nodeid, "seconds": time.perf_counter() - _test["begun"], "passed": _test["passed"], "lines": lines}
    with (Path(FOUND) / f"tests-{os.getpid()}").open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")


if FOUND:
    begin()
