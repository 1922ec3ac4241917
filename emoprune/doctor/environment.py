"""Whether searches can run here: versions, Ray, disks, locks and limits, looked at one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from emoprune.doctor.checks import Check
from emoprune.doctor.machine import (
    check_disk,
    check_locale,
    check_locks,
    check_open_files,
    check_shared_memory,
    nearest_folder,
)
from emoprune.doctor.packages import check_packages, check_python, check_torch
from emoprune.doctor.ray_here import check_ray, check_token

__all__ = ["check_environment"]


def check_environment(runs: Path, address: str | None = None) -> Iterator[Check]:
    """Yield what is looked at, in order, as soon as it is known.

    Args:
        runs: Where runs are kept, or will be.
        address: The cluster to join instead of starting a Ray here.
    """
    yield check_python()
    yield from check_packages()
    yield check_torch()
    yield check_disk("disk for runs", nearest_folder(runs))
    yield check_locks(nearest_folder(runs))
    yield check_disk("disk for ray", Path(os.environ.get("RAY_TMPDIR") or "/tmp"), for_ray=True)  # noqa: S108  # Ray's own
    yield check_shared_memory()
    yield check_open_files()
    yield check_locale()
    yield check_ray(address)
    yield check_token()
