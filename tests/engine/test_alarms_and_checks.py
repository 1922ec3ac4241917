"""What a problem finds out before there is a run, and what it says of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from problems_for_tests import OfferingKnapsack12
from searching_for_tests import searched_run
from typer.testing import CliRunner

import emoprune
from emoprune.cli.app import app
from emoprune.commands.inspection import inspect
from emoprune.config import load
from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.records import Candidate
from emoprune.report.page import write_page
from emoprune.run import Run

SETTINGS = {"search": {"population": 8, "generations": 2}, "evaluation": {"backend": "serial"}}


class Alarmed(OfferingKnapsack12):
    """A knapsack that minds being empty, and losing everything."""

    def __init__(self, broken: bool = False, missing: bool = False) -> None:
        super().__init__()
        self._broken, self._missing = broken, missing
        self.told: list[tuple[list[int], FloatArray]] = []

    def check(self) -> None:
        if self._missing:
            raise ConfigError("scales: expected some, found none; buy some")

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> Sequence[str]:
        self.told.append(([each.id for each in candidates], values))
        if self._broken:
            raise KeyError("scales")
        lost = [each.id for each, (loss, _) in zip(candidates, values, strict=True) if loss > 0.5]
        return [f"candidates {lost} lose more than <half>"] if lost else []


def finished(runs: Path, problem: Any) -> Run:
    return searched_run(SETTINGS, runs=runs, name="r", problem=problem)


def test_what_a_problem_finds_before_a_search_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scales: expected some, found none"):
        finished(tmp_path, Alarmed(missing=True))
    assert list(tmp_path.iterdir()) == []
    named = {"problem": {"name": "test_alarms_and_checks:Alarmed", "missing": True}}
    config = load(named, folders=[Path(__file__).parent])
    with pytest.raises(ConfigError, match="scales: expected some, found none"):
        inspect(config)


def test_a_resumed_run_is_not_checked_again(tmp_path: Path) -> None:
    run = finished(tmp_path, Alarmed())
    for _ in emoprune.resume(run, problem=Alarmed(missing=True), overrides=["search.generations=3"]):
        pass
    assert run.progress.generation == 2


def test_alarms_are_told_the_front_and_the_references_and_stand_in_status_and_report(tmp_path: Path) -> None:
    problem = Alarmed()
    run = finished(tmp_path, problem)
    ids, values = problem.told[-1]
    front = run.generations["front"].iloc[-1]
    assert ids == sorted({*front, *run.references})
    history = run.history.set_index("candidate")
    assert values.tolist() == history.loc[ids, ["obj.loss", "obj.weight"]].to_numpy().tolist()
    (alarm,) = run.progress.alarms
    assert "lose more than <half>" in alarm
    shown = CliRunner().invoke(app, ["status", "r", "--runs", str(tmp_path)]).output
    assert "alarm" in shown
    page = write_page(run, tmp_path / "report.html")
    assert "lose more than &lt;half&gt;" in page.read_text(encoding="utf-8")


def test_a_finished_run_that_is_resumed_keeps_its_alarms(tmp_path: Path) -> None:
    run = finished(tmp_path, Alarmed())
    before = run.progress.alarms
    for _ in emoprune.resume(run, problem=Alarmed()):
        pass
    assert list(run.progress.alarms) == list(before)


def test_a_problem_that_cannot_say_whether_there_is_alarm_ends_nothing(tmp_path: Path) -> None:
    run = finished(tmp_path, Alarmed(broken=True))
    assert run.progress.generation == 1
    assert list(run.progress.alarms) == [
        "Alarmed.alarms cannot say whether there is cause for alarm: KeyError('scales')"
    ]
