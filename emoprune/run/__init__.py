"""One folder per run.

`reader` looks into it, also while it is written; `recorder` is its one writer and holds its lock, and `heartbeat` says
where the search stands. `frames` are the tables that people work with, and `locks` lets one process at a time add an
export or an audit.
"""

from __future__ import annotations

from emoprune.run.reader import (
    SCHEMA_VERSION,
    Run,
    checked_name,
    constraints_in,
    find_run,
    not_started,
    objectives_in,
    open_run,
    runs_in,
)

__all__ = [
    "SCHEMA_VERSION",
    "Run",
    "checked_name",
    "constraints_in",
    "find_run",
    "not_started",
    "objectives_in",
    "open_run",
    "runs_in",
]
