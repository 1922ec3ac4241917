"""The command line as tests call it: in this process, or as one of its own that can be signalled and cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emoprune.__main__ import main

TESTS = Path(__file__).resolve().parent
KNAPSACK = """\
name: rucksack
problem: {name: 'problems_for_tests:Knapsack12', bits: 12, pause: 0.0}
search: {population: 12, generations: 3}
evaluation: {backend: serial}
"""
PROBLEMS = """\
import time
from pathlib import Path
from cluster_for_tests import Noted
from emoprune.contracts import Constraint
from problems_for_tests import HalvedKnapsack, Knapsack12

class Failing(Knapsack12):
    def __init__(self) -> None: super().__init__()
    def evaluate(self, genomes, seeds, split): raise RuntimeError("no scale")

class Wordless(Knapsack12):
    def __init__(self) -> None: super().__init__()
    def describe(self, genome): raise RuntimeError("no words")

class Forbidden(Knapsack12):
    constraints = (Constraint("worth", bound=5.0, sense="at-least"),)
    def __init__(self) -> None: super().__init__()
    def evaluate(self, genomes, seeds, split):
        return [(*row, 1.0) for row in super().evaluate(genomes, seeds, split)]

class Slow(Knapsack12):
    def __init__(self, pause: float = 0.0, misfit: bool = False) -> None:
        super().__init__(bits=11 if misfit else 12)
        self.wait = pause
    def prepare(self, folder, seed):
        print("preparing", flush=True)
        time.sleep(self.wait)

class Between(HalvedKnapsack):
    def __init__(self) -> None: super().__init__()
    def following(self, concluded, folder, seed):
        if concluded:
            print("between stages", flush=True)
            time.sleep(600)
        return super().following(concluded, folder, seed)

class Misnamed(Slow):
    def __init__(self) -> None: super().__init__()
    def references(self): return [*super().references(), *super().references()]

class Noting(Noted):
    def __init__(self, notes: str, pause: float) -> None:
        super().__init__(Path(notes), Path(notes), "kill", [], 0, pause=pause)

class Broken(Knapsack12):
    def __init__(self) -> None: raise RuntimeError("half made")
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def prepared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `folder` the working directory, with a config and some bad problems in it."""
    (folder / "knapsack.yaml").write_text(KNAPSACK)
    (folder / "bad_problems.py").write_text(PROBLEMS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    return folder


def entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the console entry point as a function of the command's words."""

    def command(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["emoprune", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit, match=r".") as end:
            main()
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, out, err)

    return command


def environment(more: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def finished_process(folder: Path, *words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run Python with the given words to its end."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment({}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def begun(
    folder: Path,
    *words: str,
    ignoring: signal.Signals | None = None,
    more: Mapping[str, str] | None = None,
    grouped: bool = False,
) -> subprocess.Popen[str]:
    """Start a command as its own process; `grouped`, it leads a group of its own, to which signals may be sent."""
    return subprocess.Popen(
        [sys.executable, "-m", "emoprune", *words],
        cwd=folder,
        env=environment(more or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=grouped,
        preexec_fn=None if ignoring is None else lambda: signal.signal(ignoring, signal.SIG_IGN),  # noqa: PLW1509  # no threads here
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Ended(process.returncode, out, err)


def slow_run(folder: Path, name: str, ignoring: signal.Signals | None = None) -> subprocess.Popen[str]:
    """Start a run of a few seconds and return when it has evaluated something."""
    words = ("run", "knapsack.yaml", "--name", name, "--set", "problem.pause=0.05", "--set", "evaluation.chunk=1")
    process = begun(folder, *words, ignoring=ignoring)
    history = folder / "runs" / name / "history.jsonl"
    deadline = time.monotonic() + 60
    while not (history.exists() and history.stat().st_size):
        assert process.poll() is None, ended(process)
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.02)
    return process


def status_of(folder: Path, run: str) -> dict[str, Any]:
    path = folder / "runs" / run / "status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, ended(process)
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
