"""Waiting for machines: a cluster may still be coming up, or start machines only when they are asked for."""

from __future__ import annotations

import logging
import time
from typing import Any

import ray

from emoprune.cluster.connection import Connection
from emoprune.cluster.resources import Share, counted, room

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
    if fit >= workers or share.takes_nothing:
        return 0.0
    log.info(
        "waiting up to %g s for room for %s; %d %s on %s so far",
        *(limit, share.asked_for(workers), fit, "fits" if fit == 1 else "fit", counted(len(machines), "machine")),
    )
    # All of them, those that fit as well: it is these that the machines which are there take first.
    asking = [kind.remote() for _ in range(workers)]
    try:
        while time.monotonic() - begun < limit:
            time.sleep(LOOK_EVERY)
            connection.check()
            if not connection.silent and room(connection.machines(), share) >= workers:  # else it would block
                break
    finally:
        for actor in asking:
            ray.kill(actor)
    return time.monotonic() - begun
