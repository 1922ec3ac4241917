"""How long networks take for a batch of images: measured in turns, so that a busy moment hits all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.standalone.timing import milliseconds_in_turns

__all__ = [
    "LATENCY",
    "REPEATS",
    "WARM_UP",
    "Latency",
    "Timing",
    "measure_milliseconds",
    "measured_calls",
    "median_milliseconds",
]

REPEATS = 30
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """How the latency of candidates is measured.

    Args:
        batch: Images per run; the same for every candidate and every part of the data.
        repeats: How often each one is timed; the median counts.
        warm_up: How often each one runs before that.

    Raises:
        ConfigError: An option is out of range.
    """

    batch: int = 64
    repeats: int = REPEATS
    warm_up: int = WARM_UP

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("repeats", 1), ("warm_up", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"latency: {name}: expected {least} or more, found {value}")


LATENCY = Latency()


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds for one batch of `batch` images on `threads` threads: the median and both quartiles of `repeats`."""

    median: float
    low: float
    high: float
    repeats: int
    threads: int
    batch: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.median <= self.high:
            raise ContractError(
                f"timing: expected 0 <= low <= median <= high, found {self.low}, {self.median}, {self.high}"
            )
        if min(self.repeats, self.threads, self.batch) < 1:
            raise ContractError(
                f"timing: expected at least 1 of each, found {self.repeats} repeats, {self.threads} threads and "
                f"a batch of {self.batch}"
            )

    @classmethod
    def of(cls, milliseconds: Sequence[float], threads: int, batch: int) -> Timing:
        """Sum up the milliseconds that each repeat took."""
        if not milliseconds:
            raise ContractError("timing: expected at least one repeat, found none")
        alone = len(milliseconds) == 1
        low, middle, high = (
            [milliseconds[0]] * 3 if alone else statistics.quantiles(milliseconds, n=4, method="inclusive")
        )
        return cls(middle, low, high, len(milliseconds), threads, batch)


def measure_milliseconds(
    networks: Sequence[nn.Module],
    batch: torch.Tensor,
    *,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
    threads: int | None = None,
) -> tuple[Timing, ...]:
    """Return how long each network takes for `batch`, shape (n, channels, height, width), on its device.

    Args:
        networks: In eval mode; they run one after the other in every repeat.
        batch: Taken as it lies in memory: give it in the layout that the networks are evaluated in.
        repeats: How often each one is timed.
        warm_up: How often each one runs before that.
        threads: How many threads torch may use; None for as many as it has now. They are given back at the end.

    Raises:
        ContractError: There are no repeats, or no threads.
    """
    runs = [partial(_run, network, batch) for network in networks]
    return measured_calls(runs, len(batch), repeats=repeats, warm_up=warm_up, threads=threads)


def measured_calls(
    calls: Sequence[Callable[[], object]],
    batch: int,
    *,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
    threads: int | None = None,
) -> tuple[Timing, ...]:
    """Return how long each call takes, as `measure_milliseconds` does; each is for a batch of `batch` examples."""
    if threads is not None and threads < 1:
        raise ContractError(f"threads: expected at least 1, found {threads}")
    before = torch.get_num_threads()
    used = before if threads is None else threads
    torch.set_num_threads(used)
    try:
        with torch.inference_mode():
            measured = milliseconds_in_turns(calls, repeats, warm_up)
    finally:
        torch.set_num_threads(before)
    return tuple(Timing.of(each, used, batch) for each in measured)


def _run(network: nn.Module, batch: torch.Tensor) -> None:
    network(batch)
    if batch.is_cuda:  # what was only started there has taken no time yet
        torch.cuda.synchronize()


def median_milliseconds(networks: Sequence[nn.Module], batch: torch.Tensor) -> tuple[float, ...]:
    """Return the median milliseconds that each network takes for `batch`, on its device, with the threads set now."""
    return tuple(timing.median for timing in measure_milliseconds(networks, batch))
