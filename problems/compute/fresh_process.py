"""Running a script of our own in a process of its own, in which nothing of this one is left."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emoprune.errors import ContractError

__all__ = ["run_script"]


def run_script(
    script: Path, request: Mapping[str, Any], write_inputs: Callable[[Path], None], seconds: float
) -> dict[str, Any]:
    """Run a script, called with a file that asks and one that it writes its answer to, both JSON; return the answer.

    Args:
        script: It sees what is installed, and nothing that lies beside it.
        request: What it is asked; `inputs` is added, the file that `write_inputs` writes.
        write_inputs: Writes what is no JSON.
        seconds: How long it may take.

    Raises:
        ContractError: It failed, or took longer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        inputs, asked, answer = (Path(scratch) / name for name in ("inputs", "asked.json", "answer.json"))
        write_inputs(inputs)
        asked.write_text(json.dumps({**request, "inputs": str(inputs)}), encoding="utf-8")
        # -P keeps the script's own folder off the path: only what is installed can be imported.
        _run([sys.executable, "-P", str(script.resolve()), str(asked), str(answer)], scratch, seconds)
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _run(command: list[str], folder: str, seconds: float) -> None:
    try:
        ended = subprocess.run(  # noqa: S603  # our own script on files that we wrote
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ContractError(f"export: the fresh process did not answer within {seconds:.0f} s; try again") from error
    if ended.returncode != 0:
        raise ContractError(f"export: a fresh process without emoprune cannot load it: {ended.stderr.strip()[-2000:]}")
