"""Numbers that take long to measure: each is on the disk when it is known, whatever ends the process then."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from emoprune.errors import RunCorrupt
from emoprune.problems.storage.kept_numbers import KeptNumbers


def test_what_is_measured_is_written_down_at_once_and_never_measured_again(tmp_path: Path) -> None:
    path, asked = tmp_path / "numbers.jsonl", list[str]()

    def found(*names: str) -> list[float | None]:
        kept = KeptNumbers(path)
        return [kept.number(name, lambda name=name: measure(name)) for name in names]  # type: ignore[misc]  # its default

    def measure(name: str) -> float | None:
        asked.append(name)
        if name == "c" and len(asked) < 4:
            raise KeyboardInterrupt
        return None if name == "d" else float(len(asked))

    with pytest.raises(KeyboardInterrupt):
        found("a", "b", "c", "d")
    with path.open("a") as file:
        file.write('["c", 9')  # what a kill leaves behind
    assert found("a", "b", "c", "d") == found("a", "b", "c", "d") == [1.0, 2.0, 4.0, None]
    assert asked == ["a", "b", "c", "c", "d"]
    path.write_text('["a", 1.0]\nnonsense\n')
    with pytest.raises(RunCorrupt, match=r"numbers\.jsonl, line 2: expected a name and a number"):
        found("a")


def killed_while_cutting_off(path: Path) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]  # the last moment before it counts
    KeptNumbers(path)


def test_killed_while_a_torn_line_is_cut_off_no_number_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    path.write_text('["a", 1.0]\n["b", 2.0]\n["c", 9')
    child = multiprocessing.get_context("fork").Process(target=killed_while_cutting_off, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert KeptNumbers(path).number("b", lambda: None) == 2.0
    assert path.read_text() == '["a", 1.0]\n["b", 2.0]\n'
