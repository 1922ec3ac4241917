"""Ping a Ray that is started or joined: one actor answers; a process of its own, which can be ended."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from typing import Any

import ray

from emoprune.cluster.private import NoFolders, private

__all__ = ["main"]

ANSWER_WITHIN = 60.0  # seconds


class Echo:
    """An actor that answers with what it was given."""

    def echo(self, value: int) -> int:
        """Return `value`."""
        return value


def main() -> int:
    """Try the Ray at the address in the first argument, or one that is started here; print one JSON object."""
    address = sys.argv[1] if len(sys.argv) > 1 else "local"
    options: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False} if address == "local" else {}
    begun = time.perf_counter()
    try:
        with private() if address == "local" else contextlib.nullcontext():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, job_config=NoFolders(), **options)
        joined = time.perf_counter()
        actor: Any = ray.remote(num_cpus=0)(Echo).remote()
        answered = [_seconds_of(actor, number) for number in range(10)]
    except Exception as error:  # whatever it is, it is the answer
        sys.stdout.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        return 1
    totals = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
    facts = {"version": ray.__version__, "joined": joined - begun, "round_trip": min(answered)}
    facts |= {"cpus": totals.get("CPU", 0.0), "gpus": totals.get("GPU", 0.0)}
    sys.stdout.write(json.dumps(facts) + "\n")
    ray.shutdown()
    return 0


def _seconds_of(actor: Any, number: int) -> float:
    begun = time.perf_counter()
    if ray.get(actor.echo.remote(number), timeout=ANSWER_WITHIN) != number:
        raise RuntimeError(f"expected the answer {number}, found another")
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
