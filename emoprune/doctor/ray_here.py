"""Whether Ray works: started or joined, one actor asked, and its token looked at."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from emoprune.doctor.checks import Check, Health

__all__ = ["check_ray", "check_token"]

WITHIN = 120.0  # seconds
TOKEN = Path("~/.ray/auth_token")


def check_ray(address: str | None, within: float = WITHIN) -> Check:
    """Start a Ray here, or join the one at `address`, and let an actor answer, in a process of its own."""
    command = [sys.executable, "-P", "-m", "emoprune.cluster.ping", *([address] if address else [])]
    other = "check the address, and `ray status` there" if address else "look at the files under /tmp/ray"
    fix = f"{other}; searches run without Ray as well: --backend serial"
    try:
        # S603: our own interpreter and module; the address is an argument, no shell sees it.
        done = subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Check("ray", Health.FAIL, f"no answer in {within:g} s", fix)
    facts = _facts(done.stdout)
    if "error" in facts or not facts:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        return Check("ray", Health.FAIL, str(facts.get("error", last)), fix)
    how = f"joined {address}" if address else "started here"
    room = f"; {facts['cpus']:g} CPUs and {facts['gpus']:g} GPUs" if address else f"; {facts['gpus']:g} GPUs"
    answer = f"an actor answers in {1000 * facts['round_trip']:.1f} ms"
    return Check("ray", Health.OK, f"{facts['version']} {how} in {facts['joined']:.1f} s, {answer}{room}")


def _facts(printed: str) -> dict[str, Any]:
    """Return the object in the last line that is one; Ray may print before it."""
    for line in reversed(printed.splitlines()):
        if line.startswith("{"):
            return dict(json.loads(line))
    return {}


def check_token(place: Path = TOKEN) -> Check:
    """Look at whether Ray asks for a token, and who can read it: whoever reaches an open Ray can run code."""
    mode, path = os.environ.get("RAY_AUTH_MODE", "").lower(), Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or place)
    if mode == "disabled":
        return Check("ray token", Health.WARN, "switched off by RAY_AUTH_MODE", "unset it, unless nobody else is near")
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check("ray token", Health.OK, "given by RAY_AUTH_TOKEN")
    file = path.expanduser()
    if not file.is_file():
        return Check("ray token", Health.OK, "none yet; Ray makes one when it starts here")
    readable = bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    who = "can be read by others" if readable else "can be read by you alone"
    return Check.judged("ray token", f"{path} {who}", warn=readable, fix=f"chmod 600 {path}")
