"""The device, the number of threads and the seed that is computed with, so that the same comes out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from emoprune.errors import ConfigError

__all__ = ["check_device", "one_thread", "seeded"]


def check_device(device: str) -> None:
    """Refuse a device that is not here.

    Raises:
        ConfigError: It is a GPU, and torch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "a GPU was asked for (evaluation.gpus_per_worker, or --device cuda), but torch finds none here; "
            "set evaluation.gpus_per_worker to 0, or use --device cpu"
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights and dropout from `seed`, and leave torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: sums over several come out differently with their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
