"""Every error a user can meet, named by its cause, with the exit code the command line ends with.

Each class also derives from the builtin a caller would catch, so `except ValueError` works for a bad config.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "ContractError",
    "EmopruneError",
    "EvaluationsFailed",
    "ResourcesUnavailable",
    "RunCorrupt",
    "RunLocked",
    "RunNotFound",
    "StorageError",
    "TrustError",
    "WorkersLost",
]


class EmopruneError(Exception):
    """The root of all errors raised on purpose by emoprune."""

    exit_code = 1


class ConfigError(EmopruneError, ValueError):
    """A config, an option or a name that cannot be used as given."""

    exit_code = 2


class ContractError(EmopruneError, TypeError):
    """A plug-in that breaks its promise: an illegal genome, a missing member, a wrong shape."""

    exit_code = 1


class RunNotFound(EmopruneError, FileNotFoundError):
    """No run, candidate or generation of that name."""

    exit_code = 3


class RunCorrupt(EmopruneError, ValueError):
    """A run folder whose truth (history, checkpoints, manifest) cannot be read."""

    exit_code = 3


class RunLocked(EmopruneError, BlockingIOError):
    """Another process is writing to this run."""

    exit_code = 4


class EvaluationsFailed(EmopruneError, RuntimeError):
    """So many evaluations failed that going on would optimise noise."""

    exit_code = 5


class ResourcesUnavailable(EmopruneError, RuntimeError):
    """The machine or cluster cannot give what was asked for."""

    exit_code = 6


class WorkersLost(EmopruneError, RuntimeError):
    """Workers died one after the other without finishing anything."""

    exit_code = 6


class StorageError(EmopruneError, OSError):
    """The disk is full, read-only or gone; everything committed before is intact."""

    exit_code = 7


class TrustError(EmopruneError, PermissionError):
    """Refused for safety: a name that leaves the runs folder, code of another's run, or a link inside a run."""

    exit_code = 8
