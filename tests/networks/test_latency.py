"""Latency is measured in turns, after a warm-up, on a fixed number of threads, with its spread."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.evaluation.latency import Latency, Timing, measure_milliseconds, median_milliseconds
from emoprune.problems.networks.standalone.timing import milliseconds_in_turns
from emoprune.records import Split

BATCH = torch.zeros(4, 1, 2, 2)


class Sleeping(nn.Module):
    """Takes the time it is told to, and notes on how many threads and whether gradients are kept."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.seen: list[tuple[int, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return images


def test_turns_alternate_and_the_first_ones_are_left_out() -> None:
    called: list[str] = []

    def run(name: str) -> Callable[[], None]:
        return lambda: called.append(name)

    taken = milliseconds_in_turns([run("a"), run("b")], repeats=3, warm_up=2)
    assert called == ["a", "b"] * 5
    assert [len(own) for own in taken] == [3, 3]


def test_a_slower_network_takes_longer_by_what_it_waits() -> None:
    quick, slow = measure_milliseconds([Sleeping(0.0), Sleeping(0.005)], BATCH, repeats=5, warm_up=1)
    assert slow.low >= 5.0
    assert quick.median < slow.low
    assert (slow.repeats, slow.batch) == (5, 4)


def test_threads_are_fixed_while_it_measures_and_given_back() -> None:
    before, network = torch.get_num_threads(), Sleeping(0.0)
    (timing,) = measure_milliseconds([network], BATCH, repeats=2, warm_up=1, threads=before + 1)
    assert network.seen == [(before + 1, True)] * 3
    assert timing.threads == before + 1
    assert torch.get_num_threads() == before


def test_threads_are_given_back_when_a_network_fails() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        measure_milliseconds([nn.Linear(3, 1)], BATCH, threads=before + 1)
    assert torch.get_num_threads() == before


def test_the_median_is_what_an_objective_takes() -> None:
    quick, slow = median_milliseconds([Sleeping(0.0), Sleeping(0.002)], BATCH)
    assert 0 < quick < 2.0 <= slow


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_the_quartiles_enclose_the_median_whatever_was_measured(taken: list[float]) -> None:
    timing = Timing.of(taken, threads=1, batch=1)
    assert min(taken) <= timing.low <= timing.median <= timing.high <= max(taken)
    assert timing.repeats == len(taken)


def test_one_busy_moment_does_not_move_the_median() -> None:
    timing = Timing.of([1.0, 1.0, 1.0, 1.0, 900.0], threads=1, batch=1)
    assert (timing.low, timing.median, timing.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "median", "high", "repeats", "complaint"),
    [
        (2.0, 1.0, 3.0, 1, "expected 0 <= low <= median <= high, found 2.0, 1.0, 3.0"),
        (1.0, float("nan"), 3.0, 1, "found 1.0, nan, 3.0"),
        (1.0, 1.0, 1.0, 0, "found 0 repeats"),
    ],
)
def test_a_timing_that_cannot_be_is_refused(
    low: float, median: float, high: float, repeats: int, complaint: str
) -> None:
    with pytest.raises(ContractError, match=complaint):
        Timing(median, low, high, repeats, 1, 1)


def test_measuring_nothing_is_refused() -> None:
    with pytest.raises(ContractError, match="at least one repeat, found none"):
        measure_milliseconds([Sleeping(0.0)], BATCH, repeats=0)
    with pytest.raises(ContractError, match="threads: expected at least 1, found 0"):
        measure_milliseconds([Sleeping(0.0)], BATCH, threads=0)


SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch": 0}, "latency: batch: expected 1 or more, found 0"),
        ({"repeats": 0}, "latency: repeats: expected 1 or more, found 0"),
        ({"warm_up": -1}, "latency: warm_up: expected 0 or more, found -1"),
    ],
)
def test_a_way_of_measuring_that_cannot_be_is_refused(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Latency(**options)


def timing_problem(folder: Path, **options: Any) -> Channels:  # the options under test, of whatever type
    problem = Channels(**SMALL, objectives=["milliseconds", "error"], references=["uniform"], **options)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def test_every_candidate_is_timed_on_the_same_batch_whatever_part_it_is_scored_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = timing_problem(tmp_path, latency=Latency(batch=100, repeats=3, warm_up=1))  # more than 64 images
    shapes = []
    run = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda own, given: shapes.append(len(given)) or run(own, given))
    for split in (Split.SEARCH, Split.TEST):
        problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), split)
    assert shapes.count(100) == 2 * (3 + 1) * 2  # splits, turns, linear layers


def test_the_unpruned_networks_share_of_its_own_latency_is_about_one_and_the_spread_is_recorded(
    tmp_path: Path,
) -> None:
    bounds = {"milliseconds-share": 0.5, "milliseconds-spread": 1000.0}
    problem = timing_problem(tmp_path, at_most=bounds, latency=Latency(batch=64, repeats=9))
    (row,) = problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)
    milliseconds, _, share, spread = np.asarray(row)
    assert milliseconds > 0
    assert 0.1 < share < 10  # of two short measurements on a machine that may be busy
    assert 0 <= spread < 1000
