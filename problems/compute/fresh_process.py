"""Running a script of our own in a process of its own, in which nothing of this one is left."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from emoprune.errors import ContractError

__all__ = ["run_fresh"]


def run_fresh(command: Sequence[str], folder: Path | str | None, seconds: float) -> str:
    """Run a command in `folder` to its end, and return what it printed.

    Raises:
        ContractError: It failed, or took longer than `seconds`.
    """
    try:
        ended = subprocess.run(  # noqa: S603  # our own script on a folder that we wrote
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ContractError(f"export: the fresh process did not answer within {seconds:.0f} s") from error
    if ended.returncode != 0:
        raise ContractError(f"export: a fresh process without emoprune cannot load it: {ended.stderr.strip()[-2000:]}")
    return ended.stdout
