"""Each measurement in a process of its own, on one thread, in rounds that alternate between what is compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["SINGLE_THREADED", "alone", "interleaved", "progress"]

Cell = TypeVar("Cell")
Measured = TypeVar("Measured")

SINGLE_THREADED = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
LIMIT = 1800.0  # seconds


def alone(part: dict[str, Any], limit: float = LIMIT) -> dict[str, Any]:
    """Run the script that is running again, as `script --alone JSON`, for so many seconds; return its last line's JSON.

    Raises:
        RuntimeError: It failed; its errors are in the message.
    """
    script = str(Path(sys.argv[0]).resolve())
    done = subprocess.run(
        [sys.executable, script, "--alone", json.dumps(part)],
        env={**os.environ, **SINGLE_THREADED},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{part} ended with exit code {done.returncode}; its last words:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def interleaved(cells: Sequence[Cell], rounds: int, measure: Callable[[Cell], Measured]) -> dict[Cell, list[Measured]]:
    """Measure every cell once per round, each round beginning with another cell, so that drifts hit all alike."""
    found: dict[Cell, list[Measured]] = {cell: [] for cell in cells}
    for number in range(rounds):
        start = number % len(cells)
        for cell in [*cells[start:], *cells[:start]]:
            progress(f"round {number + 1} of {rounds}: {cell}")
            found[cell].append(measure(cell))
    return found


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    print(text, file=sys.stderr, flush=True)
