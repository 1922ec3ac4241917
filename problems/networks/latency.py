"""How long networks take for a batch of images: measured in turns, so that a busy moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["median_milliseconds"]

REPEATS = 30
WARM_UP = 3


def median_milliseconds(networks: Sequence[nn.Module], batch: torch.Tensor) -> tuple[float, ...]:
    """Return the median milliseconds that each network takes for `batch`, on the CPU, with the threads set now."""
    seconds: list[list[float]] = [[] for _ in networks]
    with torch.no_grad():
        for _ in range(WARM_UP + REPEATS):
            for network, own in zip(networks, seconds, strict=True):
                start = time.perf_counter()
                network(batch)
                own.append(time.perf_counter() - start)
    return tuple(1000.0 * statistics.median(own[WARM_UP:]) for own in seconds)
