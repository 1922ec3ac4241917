"""What can be said of a failure: the problem's own traceback, or why a worker is gone and what it printed last."""

from __future__ import annotations

import re
from pathlib import Path

from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, RuntimeEnvSetupError

__all__ = ["details", "ended_by", "reason"]

UNKNOWN = "Ray knows no exit code: SIGKILL, as by the kernel when memory runs out, SIGTERM, or an exit past Python"
# What Python's fault handler prints, as the last thing that a process says.
FAULTS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
LINES = 12  # of what a worker printed last; a crash in native code takes about ten


def reason(error: RayError) -> str:
    """Return the one line that says most: what was raised, or why a worker is gone."""
    lines = _text(error).splitlines() or [type(error).__name__]
    line = lines[0] if isinstance(error, OutOfMemoryError) else lines[-1]
    return re.sub(r"Worker exit type: \w+ Worker exit detail: ", "", line.partition(". Some common causes")[0])


def ended_by(error: RayError, session: str | None) -> str:
    """Return what ended a worker: a signal or an exit code where Ray or the worker's last words tell, else why not.

    Args:
        error: What came instead of a result.
        session: The folder of Ray's session, if it is known.
    """
    text = _text(error)
    found = re.findall(r"exit code \d+", text)
    found += re.findall(r"receives a (SIG\w+)", text)
    found += [FAULTS[words] for line in _printed(error, session) for words in FAULTS if f"error: {words}" in line]
    if not found and "connection error code" in text:
        found = [UNKNOWN]
    return ", ".join(dict.fromkeys(found)) or reason(error)


def details(error: RayError, session: str | None) -> str:
    """Return a task's traceback, or why a worker is gone and what it printed last if it ran on this machine.

    Args:
        error: What came instead of a result.
        session: The folder of Ray's session, if it is known.
    """
    if isinstance(error, RayTaskError):
        return _text(error)
    if isinstance(error, RuntimeEnvSetupError):
        return f"evaluation.runtime_env could not be prepared: {reason(error).strip()}"
    return "\n".join([reason(error), *_printed(error, session)[-LINES:]])


def _printed(error: RayError, session: str | None) -> list[str]:
    """Return what a lost worker printed, if it ran on this machine."""
    process = re.search(r"\bpid: (\d+)", str(error))
    if session is None or process is None:
        return []
    return [line for file in Path(session, "logs").glob(f"worker-*-{process[1]}.err") for line in _lines(file)]


def _text(error: RayError) -> str:
    """Return what Ray says, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    # Lines with a colon are Ray's own marks; the list of extension modules buries the stack above it.
    return [line for line in lines if line and not line.startswith((":", "Extension modules:"))]
