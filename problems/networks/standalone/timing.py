"""Timing functions in turns; needs nothing but Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

__all__ = ["milliseconds_in_turns"]


def milliseconds_in_turns(runs: Sequence[Callable[[], object]], repeats: int, warm_up: int) -> list[list[float]]:
    """Call every function once per turn, so that a busy moment hits all of them; return what each took, turn by turn.

    The first `warm_up` turns are not returned.
    """
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(warm_up + repeats):
        for run, own in zip(runs, taken, strict=True):
            start = time.perf_counter()
            run()
            elapsed = 1000.0 * (time.perf_counter() - start)
            if turn >= warm_up:
                own.append(elapsed)
    return taken
