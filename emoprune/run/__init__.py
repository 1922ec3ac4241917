"""One folder per run.

`reader` looks into it, also while it is written; `reading` reads each file, and checks it against what `contents` says
that it holds, in the words of `shape`. `recorder` is its one writer and holds its lock, `heartbeat` says where the
search stands, and `leftovers` are what killed processes left. `frames` are the tables that people work with, and
`locks` lets one process at a time add an export or an audit.
"""

from __future__ import annotations

from emoprune.run.contents import ERROR
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
    "ERROR",
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
