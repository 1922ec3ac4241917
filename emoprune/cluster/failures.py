"""What can be said of a failure: the problem's own traceback, or why a worker is gone and what it printed last."""

from __future__ import annotations

import re
from pathlib import Path

from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

__all__ = ["details", "reason"]

LINES = 12  # of what a worker printed last; a crash in native code takes about ten


def reason(error: RayError) -> str:
    """Return the one line that says most: what was raised, or why a worker is gone."""
    lines = _text(error).splitlines() or [type(error).__name__]
    line = lines[0] if isinstance(error, OutOfMemoryError) else lines[-1]
    return re.sub(r"Worker exit type: \w+ Worker exit detail: ", "", line.partition(". Some common causes")[0])


def details(error: RayError, session: str | None) -> str:
    """Return a task's traceback, or why a worker is gone and what it printed last if it ran on this machine.

    Args:
        error: What came instead of a result.
        session: The folder of Ray's session, if it is known.
    """
    if isinstance(error, RayTaskError):
        return _text(error)
    process = re.search(r"\bpid: (\d+)", str(error))
    if session is None or process is None:
        return reason(error)
    printed = [line for file in Path(session, "logs").glob(f"worker-*-{process[1]}.err") for line in _lines(file)]
    return "\n".join([reason(error), *printed[-LINES:]])


def _text(error: RayError) -> str:
    """Return what Ray says, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    # Lines with a colon are Ray's own marks; the list of extension modules buries the stack above it.
    return [line for line in lines if line and not line.startswith((":", "Extension modules:"))]
