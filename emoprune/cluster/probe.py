"""Connect to a Ray cluster and say whether that works: run as a process of its own, which can be ended if it hangs.

A connection that cannot be made blocks inside Ray for minutes, where no signal and no thread can interrupt it.
"""

from __future__ import annotations

import logging
import sys

import ray

from emoprune.cluster.private import NoFolders

__all__ = ["main"]


def main() -> int:
    """Connect to the address in the first argument; print what Ray says if it refuses."""
    try:
        ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR, job_config=NoFolders())
    except Exception as error:  # whatever it is, it is the answer
        sys.stdout.write(f"{error}\n")
        return 1
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
