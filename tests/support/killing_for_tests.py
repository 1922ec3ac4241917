"""Runs a search in child processes that get killed, resumes them, and prints whether each ends like the whole one.

A process of its own, because it forks: a search in it first imports all that the children need, which are killed often.
Usage: python killing_for_tests.py RUNS (moments COUNT SEED | commits EVERY) [staged | surveying | graded]
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from problems_for_tests import GradedKnapsack12, HalvedKnapsack, Knapsack12, SurveyingKnapsack12

import emoprune
from emoprune.run import Run

SETTINGS = {
    "search": {"population": 10, "generations": 6, "seed": 3},
    "evaluation": {"backend": "serial", "chunk": 3},
}
PAUSE = 0.002  # per evaluation, so that most moments fall between two writes


def problem() -> Knapsack12 | HalvedKnapsack:
    if sys.argv[-1] == "graded":
        return GradedKnapsack12(block_pause=PAUSE / 8, digits=1)
    kinds = {"staged": HalvedKnapsack, "surveying": SurveyingKnapsack12}
    return kinds.get(sys.argv[-1], Knapsack12)(noise=0.05, pause=PAUSE)


def search(runs: Path, name: str) -> None:
    for _ in emoprune.search(SETTINGS, problem=problem(), runs=runs, name=name):
        pass


def resume(path: Path) -> None:
    for _ in emoprune.resume(path, problem=problem()):
        pass


def forked(job: Callable[[], None]) -> int:
    """Return the id of a child that does the job and leaves without cleaning up after its parent."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            job()
            status = 0
        os._exit(status)
    return child


def waited(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def facts(path: Path) -> tuple[object, ...]:
    run = Run(path)
    stages = [facts(stage.path) for stage in run.stages.values()]
    ids = [evaluation.candidate.id for evaluation in run.evaluations()]
    lines = (path / "history.jsonl").read_bytes().count(b"\n")
    history = run.history.drop(columns=["worker", "seconds", "attempts"])
    generations = run.generations.drop(columns="seconds")
    pareto = run.pareto.drop(columns=["worker", "wall_s"])
    state = run.progress.state.value
    return len(ids), lines, history.to_json(), generations.to_json(), pareto.to_json(), state, stages


def verdict(path: Path, whole: tuple[object, ...]) -> str:
    if not path.exists():
        return "not begun"
    if waited(forked(lambda: resume(path))) != 0:
        return "RESUME FAILED"
    return "equal" if facts(path) == whole else "DIFFERENT"


def begun(path: Path) -> float:
    """Wait until the run's folder is there, and return when that was."""
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no run folder {path} within 60 s")
        time.sleep(0.001)
    return time.monotonic()


def at_moments(runs: Path, count: int, seed: int) -> None:
    """Kill at `count` seeded moments between the run folder's first instant and the end."""
    child = forked(lambda: search(runs, "whole"))
    since = begun(runs / "whole")
    waited(child)
    length = time.monotonic() - since
    whole = facts(runs / "whole")
    for number, moment in enumerate(np.random.default_rng(seed).uniform(0, length, count)):
        name = f"killed{number}"
        child = forked(lambda name=name: search(runs, name))  # type: ignore[misc]  # a default binds the name now
        begun(runs / name)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        print(f"{moment:.3f} of {length:.3f} s: exit {waited(child)}: {verdict(runs / name, whole)}", flush=True)


def at_commits(runs: Path, every: int) -> None:
    """Kill before, and again after, every n-th time that a write is forced to the disk."""
    waited(forked(lambda: search(runs, "whole")))
    whole = facts(runs / "whole")
    for when in ("before", "after"):
        call = 1
        while True:
            name = f"{when}{call}"
            code = waited(forked(lambda: doomed(runs, name, call, when)))  # noqa: B023  # waited for before it changes
            if code == 0:
                break
            print(f"{when} fsync {call}: exit {code}: {verdict(runs / name, whole)}", flush=True)
            call += every


def doomed(runs: Path, name: str, call: int, when: str) -> None:
    real, calls = os.fsync, [0]

    def deadly(handle: int) -> None:
        calls[0] += 1
        if calls[0] == call and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)
        if calls[0] == call and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = deadly
    search(runs, name)


if __name__ == "__main__":
    search(Path(sys.argv[1]), "first")
    facts(Path(sys.argv[1]) / "first")
    if sys.argv[2] == "moments":
        at_moments(Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        at_commits(Path(sys.argv[1]), int(sys.argv[3]))
