"""A run seen from another terminal: at any width, without colour, in ASCII; it is left cleanly and nothing written."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands_for_tests import Command, begun, ended, environment, wait_for
from rich.console import Console
from runs_for_tests import HOSTILE, Story, progress

from emoprune.records import State
from emoprune.report.watching import Watched

STORY = Story(generations=6, failing=0.1).tell()


def drawn(story: object = STORY, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    paper = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(width=width, height=height, no_color=True, force_terminal=False, record=True, file=paper)
    console.print(Watched(story))  # type: ignore[arg-type]  # it has what is read of a run
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 30), (120, 24), (200, 50)])
def test_all_of_it_fits_into_a_terminal(width: int, height: int) -> None:
    lines = drawn(width=width, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for words in (
        "digits-widths  finished",
        "generations 6/6",
        "error (%) by macs",
        "hypervolume by evaluations",
        " failed:",
    ):
        assert words in text
    assert "\x1b" not in text


def test_a_terminal_without_other_signs_gets_ascii() -> None:
    assert "\n".join(drawn(encoding="ascii")).isascii()


def test_the_commonest_reason_of_failures_is_named_with_a_candidate() -> None:
    (line,) = [each for each in drawn(width=160) if "RuntimeError" in each]
    assert "(candidate " in line


def test_before_the_first_generation_it_says_so_and_what_is_open() -> None:
    begun_run = replace(STORY, progress=progress(state=State.RUNNING, hypervolume=None, workers=4, pending=3))
    text = "\n".join(drawn(begun_run))
    assert "No generation is finished yet." in text
    assert "workers 3 busy, 1 idle" in text


def test_what_a_run_says_cannot_steer_the_terminal() -> None:
    text = "\n".join(drawn(Story(generations=2, name=HOSTILE, unit=HOSTILE, failing=0.5, reason=HOSTILE).tell(), 200))
    assert not set(text) & {"\x1b", "\u202e"}


def test_one_objective_is_drawn_over_the_evaluations() -> None:
    assert "best error (%) by evaluations" in "\n".join(drawn(Story(objectives=1, generations=3).tell()))


def test_a_look_from_a_pipe_is_one_picture_and_writes_nothing(emoprune: Command, folder: Path) -> None:
    assert emoprune("run", "knapsack.yaml", "--name", "done").code == 0
    files = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}
    shown = emoprune("watch", "done")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("done  finished")
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")} == files
    assert emoprune("watch", "nowhere").code == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", ["it ends", "interrupted"])
def test_a_terminal_is_left_as_it_was(folder: Path, how: str) -> None:
    searching = begun(folder, "run", "knapsack.yaml", "--name", "slow", "--set", "problem.pause=0.02")
    wait_for((folder / "runs" / "slow" / "status.json").exists, searching)
    main, side = pty.openpty()
    words = [sys.executable, "-m", "emoprune", "watch", "slow", "--interval", "0.2"]
    watching = subprocess.Popen(
        words,
        cwd=folder,
        env=environment({"TERM": "xterm"}),
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    seen = read_until(main, watching, b"\x1b[?1049h", 30)
    if how == "interrupted":
        watching.send_signal(signal.SIGINT)
    seen += read_until(main, watching, None, 60)
    assert watching.wait(timeout=30) == 0
    assert b"\x1b[?1049l" in seen
    assert seen.rindex(b"slow") > seen.rindex(b"\x1b[?1049l")  # the last picture stays
    assert b"Traceback" not in seen
    searching.send_signal(signal.SIGINT)
    ended(searching)


def read_until(main: int, process: subprocess.Popen[bytes], wanted: bytes | None, limit: float) -> bytes:
    """Return what a terminal was sent until it was sent `wanted`, or until the process is over."""
    seen, end = b"", time.monotonic() + limit
    while time.monotonic() < end and (wanted is None or wanted not in seen):
        if select.select([main], [], [], 0.2)[0]:
            try:
                piece = os.read(main, 65_536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not piece:
                break
            seen += piece
        elif process.poll() is not None:
            break
    assert wanted is None or wanted in seen
    return seen
