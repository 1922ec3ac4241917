"""The same promise over Ray actors: candidates are measured in processes that hold the problem, on as many machines.

The only part that imports ray. `actors` runs tickets, `dispatch` keeps the books on them, `pool` starts and replaces
workers, `worker` is what runs in their processes, `connection` and `resources` see to it that Ray is there and enough.
"""

from __future__ import annotations

import os

# Ray reads these when it is imported. Standard output is for results, and a lost worker is this package's own business,
# so what Ray prints there about one is left out; a value that the user has set stays.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
# What newer versions do anyway; older ones warn on every start until it is said.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# How long the end waits for a head that is gone; Ray ends this process ten seconds after its part of the machine is.
os.environ.setdefault("RAY_task_events_shutdown_flush_timeout_ms", "500")

from emoprune.cluster.actors import RayActors  # imports ray, so after the lines above
from emoprune.cluster.resources import Share

__all__ = ["RayActors", "Share"]
