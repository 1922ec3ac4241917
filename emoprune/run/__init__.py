"""One folder per run: its readers, its one writer, its tables."""

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
