"""What holds for the tests of networks: each begins on one thread, however many the one before it left to torch."""

from __future__ import annotations

import torch


def pytest_runtest_setup() -> None:
    """Compute on one thread: networks this small are no faster on more, and far slower on a busy machine."""
    torch.set_num_threads(1)
