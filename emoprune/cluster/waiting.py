"""Waiting for machines: a cluster may still be coming up, or start machines only when they are asked for."""

from __future__ import annotations

import logging
import time
from typing import Any

import ray

from emoprune.cluster.connection import Connection
from emoprune.cluster.resources import Share, room

__all__ = ["waited_for_room"]

LOOK_EVERY = 0.5  # seconds

log = logging.getLogger(__name__)


def waited_for_room(connection: Connection, share: Share, kind: Any, workers: int, limit: float) -> float:
    """Wait up to `limit` seconds until `workers` workers fit; return the seconds for which it waited, 0 for none.

    Meanwhile as many workers are asked for, of the `kind` that Ray makes actors of: that is what an autoscaler goes by.

    Raises:
        WorkersLost: The cluster is gone.
    """
    begun = time.monotonic()
    machines = connection.machines()
    fit = room(machines, share)
    if fit >= workers or not share.needs:
        return 0.0
    needs = ", ".join(f"{amount:g} {name}" for name, amount in share.needs.items())
    labelled = f" on machines with the labels {dict(share.labels)}" if share.labels else ""
    log.info(
        "waiting up to %g s for room for %d workers of %s each%s; %d fit on the %d machines that are there",
        *(limit, workers, needs, labelled, fit, len(machines)),
    )
    asking = [kind.remote() for _ in range(workers - fit)]
    try:
        while room(connection.machines(), share) < workers and time.monotonic() - begun < limit:
            time.sleep(LOOK_EVERY)
            connection.check()
    finally:
        for actor in asking:
            ray.kill(actor)
    return time.monotonic() - begun
