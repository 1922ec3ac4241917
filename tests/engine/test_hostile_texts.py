"""Nothing that a run says steers the terminal of whoever looks at it."""

from __future__ import annotations

import csv
import io
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from commands_for_tests import Command, entry_point
from rich.text import Text
from strangers_for_tests import altered

import emoprune
from emoprune.cli.output import Screen, printable
from emoprune.report.terminal import LiveView
from emoprune.run import Run
from emoprune.run.heartbeat import starting

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\x7f\u202egnp"
LOOKING = [
    ["status"],
    ["pareto"],
    ["pareto", "--wide"],
    ["pareto", "--csv"],
    ["pareto", "--csv", "--wide"],
    ["pareto", "--generation", "1"],
    ["pareto", "--json"],
    ["status", "--json"],
    ["doctor"],
    ["report"],
    ["resume"],
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a finished run in which every free text is hostile."""
    monkeypatch.chdir(tmp_path)
    plain = {
        "problem": "problems_for_tests:Knapsack12",
        "search": {"population": 8, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    searching = emoprune.search(plain, runs=Path("runs"), name="r")
    for _ in searching:
        pass
    found = searching.run
    objectives = [{**each, "unit": EVIL} for each in found.manifest["objectives"]]
    references = [{**each, "name": EVIL} for each in found.manifest["references"]]
    altered(found.path / "manifest.json", objectives=objectives, references=references, problem=EVIL, created=EVIL)
    texts = {
        "message": EVIL,
        "phase": EVIL,
        "host": EVIL,
        "alarms": [EVIL],
        "stages": {EVIL: EVIL},
        "best": {EVIL: 1.0},
    }
    altered(found.path / "status.json", **texts)
    altered(found.path / "descriptions.json", **{str(number): {EVIL: EVIL} for number in found.descriptions})
    return found


def steering(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf") and each != "\n"}


@pytest.mark.parametrize("words", LOOKING)
def test_whatever_is_looked_at_is_printable(
    run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emoprune_: Command = entry_point(monkeypatch, capsys)
    shown = emoprune_(words[0], "r", *words[1:])
    assert shown.out + shown.err
    assert not steering(shown.err)
    assert steering(shown.out) <= ({"\u202e"} if "--csv" in words else set())


def test_csv_spells_out_what_would_steer_a_terminal_and_leaves_lines_and_tabs(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(run.path / "descriptions.json", **{"0": {"kept": "a\tb\nc\x1b[1m, d"}})
    rows = list(csv.DictReader(io.StringIO(entry_point(monkeypatch, capsys)("pareto", "r", "--csv", "--wide").out)))
    assert next(row for row in rows if row["candidate_id"] == "0")["keeps.kept"] == "a\tb\nc\\x1b[1m, d"


def test_csv_on_a_terminal_is_printable_altogether(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emoprune_ = entry_point(monkeypatch, capsys)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert not steering(emoprune_("pareto", "r", "--csv", "--wide").out)


def test_a_screen_keeps_its_own_colours_and_all_spaces() -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, color_system="standard", width=80)
    screen.print(Text(f"{EVIL}\u3000\xa0x", style="red"))
    assert file.getvalue() == "\x1b[31m]0;owned[2J31mgnp\u3000\xa0x\x1b[0m\n"
    assert printable("a\u3000b\xa0c\u2028d\te") == "a\u3000b\xa0cde"


def test_a_live_view_is_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, color_system=None, width=80)
    hostile = replace(starting(3), message=EVIL, best={EVIL: 1.0}, phase=EVIL)
    monkeypatch.setenv("TERM", "xterm")
    with LiveView(lambda: hostile, lambda: None, screen):
        pass
    assert not {"\x07", "\x9b", "\x08", "\x7f", "\u202e"} & set(file.getvalue())
    assert "running: gnp" in file.getvalue()
    assert "\x1b]0;" not in file.getvalue()
