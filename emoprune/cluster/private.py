"""What of Ray is kept to this machine and its user: where a Ray started here listens, its token, its imports."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray._private import ray_constants
from ray.job_config import JobConfig

__all__ = ["NoFolders", "private"]

TOKEN = Path("~/.ray/auth_token")


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let a Ray that is started meanwhile listen on the loopback alone, and ask for a token nobody else can read.

    Ray listens there by itself where it is not meant for clusters, on Windows and macOS; no argument of `ray.init` says
    so, and an address of 127.0.0.1 is replaced by the machine's.
    """
    _keep_token_private()
    constants: Any = ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _keep_token_private() -> None:
    """Make the token that Ray would make, which it lets everybody read; one that lies there is closed to others."""
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token" or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        return
    with contextlib.suppress(OSError, RuntimeError):  # no home to write to: Ray itself says that it needs one
        place = TOKEN.expanduser()
        place.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                place.chmod(0o600)
        else:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))


class NoFolders(JobConfig):
    """A job whose workers import from where they are told to: Ray would put the driver's working folder first."""

    def _get_proto_job_config(self) -> Any:
        self._py_driver_sys_path: list[str] = []
        return super()._get_proto_job_config()  # type: ignore[no-untyped-call]  # ray leaves it untyped
