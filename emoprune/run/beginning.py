"""The folder of a new run: its name, its manifest with what it was made by, and the configs, all there at once."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from emoprune.errors import ConfigError
from emoprune.run.reader import SCHEMA_VERSION, checked_name
from emoprune.run.signature import signatures
from emoprune.storage import fingerprint, guarded, unfinished, write_atomically, write_sealed

__all__ = ["check_free", "environment", "new_run"]


def new_run(runs: Path, name: str | None, label: str, *, manifest: Mapping[str, Any], files: Mapping[str, str]) -> Path:
    """Make and return a new run folder, `name` or a date with `label` and a random suffix, with manifest and `files`.

    The folder appears with all of that in it, so that whatever can be seen can be resumed.

    Raises:
        TrustError: The name could leave `runs`.
        ConfigError: A run of that name exists.
        StorageError: The folder cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")
    chosen = checked_name(name if name is not None else f"{stamp}_{label}_{secrets.token_hex(2)}")
    path, partial = runs / chosen, unfinished(runs / chosen, "partial")
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    known = {"schema_version": SCHEMA_VERSION, "name": chosen, "created": created, **manifest}
    known["configs"] = [fingerprint(json.loads(files["config.resolved.json"]))]
    known["signed"] = signatures(known, files["config.resolved.json"])
    with guarded(path):
        if path.exists():
            raise _taken(chosen, runs)
        (partial / "checkpoints").mkdir(parents=True)
        try:
            for file, text in files.items():
                write_atomically(partial / file, text)
            write_sealed(partial / "manifest.json", known)
            partial.rename(path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise _taken(chosen, runs) if path.exists() else error from None
    return path


def check_free(name: str | None, runs: Path) -> None:
    """Refuse a name that cannot become that of a run in `runs`; None stands for one that will be made up.

    Raises:
        TrustError: It could leave `runs`.
        ConfigError: A run of that name exists.
    """
    if name is not None and (runs / checked_name(name)).exists():
        raise _taken(name, runs)


def _taken(name: str, runs: Path) -> ConfigError:
    return ConfigError(
        f"run {name!r} exists in {runs}: continue it with `emoprune resume {name}`, or choose another name"
    )


def environment() -> dict[str, Any]:
    """Return what a run was made with: versions, machine, user; never the environment variables."""
    return {
        "host": socket.gethostname(),
        "user": os.getuid(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": _packages(tuple(sys.path)),
        "command": [Path(sys.argv[0]).name, *(_without_root(word) for word in sys.argv[1:])],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _without_root(word: str) -> str:
    """Return a word of a command with an absolute path in it, as in `--runs=/a/b`, made relative: a run may move."""
    key, sign, value = word.rpartition("=")
    return f"{key}{sign}{os.path.relpath(value)}" if Path(value).is_absolute() else word


@cache
def _packages(_path: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions, read once per search path: a search asks for them several times."""
    found = ((each.metadata["Name"], each.version) for each in importlib.metadata.distributions())
    return dict(sorted(found))
