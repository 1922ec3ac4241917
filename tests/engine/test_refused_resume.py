"""A resume that is refused changes nothing: a finished run stays finished, and its files as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from problems_for_tests import HalvedKnapsack, Knapsack12
from searching_for_tests import copied_run, searched_run
from strangers_for_tests import altered, strangers

import emoprune
from emoprune.contracts import Problem, Reference
from emoprune.errors import (
    ConfigError,
    ContractError,
    EmopruneError,
    ResourcesUnavailable,
    RunCorrupt,
    RunLocked,
    RunNotFound,
    TrustError,
    WorkersLost,
)
from emoprune.records import State
from emoprune.run import Run
from emoprune.run.recorder import Recorder
from emoprune.storage import read_lines, sealed_line

RUNS = Path(__file__).parents[1] / "data" / "runs"
SMALL = {"search": {"population": 8, "generations": 3}, "evaluation": {"backend": "serial"}}


CROWDED = ["evaluation.backend=ray", "evaluation.workers=9999"]


def finished(folder: Path, problem: Problem | None = None, name: str = "r") -> Run:
    if problem is not None:
        return searched_run(SMALL, problem=problem, runs=folder, name=name)
    return copied_run({"problem": "problems_for_tests:Knapsack12", **SMALL}, folder, name)


def state_of(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return the time and content of every file but the lock, which is held while it is found out."""
    files = [path for path in folder.rglob("*") if path.name != ".lock"]
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() and not path.is_symlink() else None)
        for path in files
    }


def assert_refused(run: Run, error: type[EmopruneError], words: str, **how: Any) -> None:
    before = state_of(run.path)
    for _ in range(2):
        with pytest.raises(error, match=words):
            list(emoprune.resume(run.path, **how))
    assert state_of(run.path) == before


def cut(run: Run) -> None:
    path = run.path / "history.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))


def changed(run: Run) -> None:
    path = run.path / "history.jsonl"
    lines = read_lines(path)
    lines[0]["values"]["loss"] = -50.0
    path.write_bytes(b"".join(sealed_line(line) + b"\n" for line in lines))


def garbled(run: Run) -> None:
    path = run.path / "history.jsonl"
    path.write_text("garbage\n" + path.read_text())


@pytest.mark.parametrize(
    ("spoil", "error", "words", "how"),
    [
        (lambda run: strangers(run.path), TrustError, "would import", {}),
        (lambda run: (run.path / "exports").symlink_to("/"), TrustError, "symbolic link", {}),
        (None, ConfigError, "cannot change", {"overrides": ["search.population=9"]}),
        (None, ConfigError, "expected at least 3", {"overrides": ["search.generations=1"]}),
        (None, ConfigError, r"problem's .*genes changed", {"problem": Knapsack12(bits=13)}),
        (
            None,
            ResourcesUnavailable,
            "room for 9999",
            {"overrides": ["evaluation.backend=ray", "evaluation.workers=9999"]},
        ),
        (cut, RunCorrupt, "history.jsonl holds", {}),
        (changed, RunCorrupt, "altered since its last checkpoint", {}),
        (garbled, RunCorrupt, "history.jsonl:1: expected one JSON object", {}),
    ],
)
def test_whatever_it_is_refused_for_a_finished_run_stays_as_it_is(
    tmp_path: Path, spoil: Callable[[Run], object] | None, error: type[EmopruneError], words: str, how: dict[str, Any]
) -> None:
    run = finished(tmp_path)
    if spoil is not None:
        spoil(run)
    before = run.path / "status.json"
    assert json.loads(before.read_text())["state"] == State.FINISHED.value
    assert_refused(run, error, words, **how)


def test_a_run_searched_in_stages_stays_as_it_is(tmp_path: Path) -> None:
    run = finished(tmp_path, HalvedKnapsack())
    changed(run)
    assert_refused(run, RunCorrupt, "altered since its last checkpoint", problem=HalvedKnapsack())
    assert run.progress.state is State.FINISHED


def test_a_run_whose_prepared_files_are_damaged_stays_as_it_is(tmp_path: Path) -> None:
    path = Path(shutil.copytree(RUNS / "digits", tmp_path / "r"))
    weights = path / "problem" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert_refused(Run(path), ConfigError, r"weights.safetensors is damaged", overrides=["evaluation.backend=serial"])


def test_a_run_that_another_process_writes_stays_as_it_is(tmp_path: Path) -> None:
    run = finished(tmp_path)
    with Recorder(run.path):
        assert_refused(run, RunLocked, "is being written by process")


def test_a_run_that_was_not_begun_and_whose_former_run_is_gone_stays_as_it_is(tmp_path: Path) -> None:
    finished(tmp_path, name="former")
    plain = {"problem": "problems_for_tests:Knapsack12", **SMALL}
    plain["search"] = {"population": 8, "generations": 3, "warm_start": ["former"]}
    searching = emoprune.search(plain, runs=tmp_path, name="r")
    next(iter(searching))
    run = Run(tmp_path / "r")
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").mkdir()
    (run.path / "warm_start.json").unlink()
    shutil.rmtree(tmp_path / "former")
    assert_refused(run, RunNotFound, "no run 'former'")


def test_a_problem_that_breaks_while_it_is_made_again_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    run = finished(tmp_path, Knapsack12())

    class Twice(Knapsack12):
        def references(self) -> tuple[Reference, ...]:
            return (*super().references(), *super().references())

    assert_refused(run, ContractError, "references", problem=Twice())


def state_word(run: Run) -> str:
    return run.progress.state.value


class Unready(Knapsack12):
    """Cannot be set up, so that no worker stands."""

    def setup(self, device: str, threads: int) -> None:
        raise OSError("no such device")


def test_a_run_whose_workers_do_not_start_stays_as_it_is(tmp_path: Path) -> None:
    run = finished(tmp_path, Knapsack12())
    more = ["search.generations=5", "evaluation.start_limit=0.001"]
    assert_refused(run, WorkersLost, "no such device", problem=Unready(), overrides=more)
    assert state_word(run) == State.FINISHED.value
    searching = emoprune.resume(run, problem=Knapsack12(), overrides=["search.generations=6"])
    next(generations := iter(searching))
    generations.close()
    assert_refused(run, WorkersLost, "no such device", problem=Unready())
    assert state_word(run) == State.INTERRUPTED.value
    list(emoprune.resume(run, problem=Knapsack12()))
    assert state_word(run) == State.FINISHED.value


def test_a_finished_run_with_nothing_left_to_measure_starts_no_workers(tmp_path: Path) -> None:
    run = finished(tmp_path, Knapsack12())
    assert list(emoprune.resume(run, problem=Unready())) == []
    assert state_word(run) == State.FINISHED.value


def test_settings_that_nothing_was_measured_with_are_kept_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(tmp_path, Knapsack12())
    list(emoprune.resume(run, problem=Unready()))
    assert caplog.text == ""
    list(emoprune.resume(run, problem=Unready(), overrides=["search.time_limit=600"]))
    assert "nothing was left to measure; the settings given are kept for what comes next" in caplog.text
    assert run.config["search"]["time_limit"] == 600


def test_after_all_that_the_run_goes_on(tmp_path: Path) -> None:
    run = finished(tmp_path)
    with pytest.raises(ConfigError, match="cannot change"):
        emoprune.resume(run, overrides=["search.seed=9"])
    altered(run.path / "status.json")
    assert [each.index for each in emoprune.resume(run, overrides=["search.generations=5"])] == [3, 4]
    assert run.progress.state is State.FINISHED
