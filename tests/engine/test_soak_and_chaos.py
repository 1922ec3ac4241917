"""Long and rough: a thousand generations leave nothing behind, and workers may be shot at any time."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import ray
from problems_for_tests import Knapsack12

import emoprune

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_thousand_generations_grow_neither_open_files_nor_checkpoints_and_memory_only_by_the_history(
    tmp_path: Path,
) -> None:
    settings = {"search": {"population": 10, "generations": 1000}, "evaluation": {"backend": "serial"}}
    searching = emoprune.search(settings, problem=Knapsack12(bits=60), runs=tmp_path, name="soak")
    process = psutil.Process()
    sizes, files = [], []
    for generation in searching:
        if generation.index % 100 == 99:
            sizes.append(process.memory_info().rss)
            files.append(process.num_fds())
    assert np.ptp(files[1:]) <= 1  # the thread that keeps the run's heartbeat may be writing its file just then
    assert len(list((searching.run.path / "checkpoints").iterdir())) == 3
    history = (searching.run.path / "history.jsonl").stat().st_size
    # What Python holds of an evaluation is a few times its line; a leak of the population's state would be hundreds.
    assert sizes[-1] - sizes[1] < 10 * history
    assert len(searching.run.generations) == 1000


def test_workers_shot_at_random_moments_change_nothing_in_the_history(tmp_path: Path) -> None:
    problem = Knapsack12(noise=0.1, pause=0.02)
    search = {"population": 20, "generations": 15, "seed": 4}
    serial = emoprune.search(
        {"search": search, "evaluation": {"backend": "serial"}}, problem=problem, runs=tmp_path, name="serial"
    )
    for _ in serial:
        pass
    evaluation = {"workers": 2, "retries": 20, "chunk": 4}
    searching = emoprune.search(
        {"search": search, "evaluation": evaluation}, problem=problem, runs=tmp_path, name="shot"
    )
    rng, over, due, shots = np.random.default_rng(6), threading.Event(), threading.Semaphore(0), []

    def shoot() -> None:
        while due.acquire() and not over.wait(float(rng.uniform(0.0, 0.2))):
            workers = [each for each in psutil.Process().children(recursive=True) if is_worker(each)]
            if workers:
                victim = workers[int(rng.integers(len(workers)))]
                os.kill(victim.pid, signal.SIGKILL)
                shots.append(victim.pid)

    marksman = threading.Thread(target=shoot, daemon=True)
    marksman.start()
    try:
        for generation in searching:
            if generation.index % 2 == 0:  # by progress, not by the clock: a fast machine would be done too soon
                due.release()
    finally:
        over.set()
        due.release()
        marksman.join(10)
    assert len(shots) >= 3
    ran = ["worker", "seconds", "attempts"]
    pd.testing.assert_frame_equal(serial.run.history.drop(columns=ran), searching.run.history.drop(columns=ran))
    assert not ray.is_initialized()


def is_worker(process: psutil.Process) -> bool:
    """Whether a child of ours is one of the search's actors, by the name that Ray gives it."""
    try:
        return process.name().startswith("ray::Worker") or "ray::Worker" in " ".join(process.cmdline())
    except psutil.Error:
        return False
