"""Links inside a run's folder lead nowhere: nothing outside of it is read, written or removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands_for_tests import Command, entry_point
from searching_for_tests import copied_run

import emoprune
from emoprune.commands.audit import audit
from emoprune.commands.export import export
from emoprune.commands.recovery import recover
from emoprune.doctor.repairing import repair
from emoprune.doctor.run_files import check_run
from emoprune.errors import RunCorrupt, TrustError
from emoprune.run import Run, find_run, runs_in
from emoprune.run.locks import whole
from emoprune.run.recorder import Recorder
from emoprune.storage import Journal, read_checked, read_json, read_lines

FOLDERS = ["exports", "checkpoints", "problem", "audit", "recovered", "stages", ".locks", "problem/deep"]
FILES = [
    "history.jsonl",
    "remeasured.jsonl",
    "generations.jsonl",
    "recovered.jsonl",
    "remeasured.jsonl.torn",
    "manifest.json",
    "config.resolved.json",
    "status.json",
    "report.html",
    "pareto.csv",
    "audit.json",
    "stages.json",
    ".lock",
    ".lock.json",
    "problem/weights.safetensors",
]
WORK: dict[str, Callable[[Run], object]] = {
    "resume": lambda run: list(emoprune.resume(run)),
    "export": lambda run: export(run, "5"),
    "audit": audit,
    "recover": lambda run: recover(run, "5"),
    "doctor": lambda run: list(check_run(run.path)),
    "repair": lambda run: repair(run.path),
    "look": lambda run: Run(run.path),
    "write": lambda run: Recorder(run.path).__enter__(),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    plain = {
        "problem": "problems_for_tests:OfferingKnapsack12",
        "search": {"population": 8, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    return copied_run(plain, tmp_path / "runs", "r")


def elsewhere(folder: Path) -> Path:
    """Fill a folder with what a followed link would cut, overwrite or remove."""
    for name in ("5", "deep"):
        (folder / name).mkdir(parents=True)
        (folder / name / "kept").write_text("kept")
    for name in ("gen-00000.json", "gen-00001.json", "gen-00009.json", ".gen.tmp", "audit.lock"):
        (folder / name).write_text("kept")
    (folder / "file").write_text("kept\ntorn")
    return folder


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def replaced(run: Run, name: str, target: Path) -> Path:
    place = run.path / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(target)
    return place


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_a_link_in_a_run_is_named_and_refused_by_all_work_and_nothing_is_touched(
    run: Run, tmp_path: Path, name: str
) -> None:
    outside = elsewhere(tmp_path / "outside")
    target = outside if name in FOLDERS else outside / "file"
    place = replaced(run, name, target)
    before, own = content(outside), content(run.path)
    for work in WORK.values():
        with pytest.raises(TrustError, match=rf"{place} is a symbolic link.*remove it"):
            work(run)
    assert content(outside) == before
    assert content(run.path) == own


def test_a_folder_of_checkpoints_that_becomes_a_link_meanwhile_ends_the_search(tmp_path: Path) -> None:
    outside = elsewhere(tmp_path / "outside")
    before = content(outside)
    plain = {
        "problem": "problems_for_tests:OfferingKnapsack12",
        "search": {"population": 8, "generations": 12},
        "evaluation": {"backend": "serial"},
    }
    searching = emoprune.search(plain, runs=tmp_path / "runs", name="r")
    generations = iter(searching)
    next(generations)
    replaced(searching.run, "checkpoints", outside)
    with pytest.raises(TrustError, match=rf"r/checkpoints leads to {outside} .* replaced by a link meanwhile"):
        list(generations)
    assert content(outside) == before


@pytest.mark.parametrize("name", ["exports", "exports/5"])
def test_what_is_made_does_not_take_its_place_through_a_link_that_came_meanwhile(
    run: Run, tmp_path: Path, name: str
) -> None:
    outside = elsewhere(tmp_path / "outside")

    def made() -> None:
        with whole(run.path / "exports" / "5") as partial:
            (partial / "file").write_text("new")
            if name == "exports":
                (run.path / "exports").rename(run.path / "before")
            (run.path / name).symlink_to(outside if name == "exports" else outside / "5")

    with pytest.raises(TrustError, match=r"exports/5 leads to .* replaced by a link meanwhile"):
        made()
    assert (outside / "5" / "kept").read_text() == "kept"
    assert not (outside / "5" / "file").exists()


def test_a_link_that_leads_to_nothing_or_stays_inside_is_refused_too(run: Run, tmp_path: Path) -> None:
    for target in (tmp_path / "nothing", Path("history.jsonl"), Path("..")):
        place = replaced(run, "loop", target)
        with pytest.raises(TrustError, match=rf"{place} is a symbolic link to '{target}'"):
            emoprune.resume(run)
    assert not (tmp_path / "nothing").exists()


def test_a_run_may_be_reached_by_links(run: Run, tmp_path: Path) -> None:
    (tmp_path / "linked-runs").symlink_to("runs")
    (tmp_path / "runs" / "latest").symlink_to("r")
    for path in (tmp_path / "linked-runs" / "r", tmp_path / "linked-runs" / "latest", tmp_path / "runs" / "latest"):
        assert list(emoprune.resume(path)) == []
        assert export(Run(path), "5")[0].is_dir()
        assert find_run("latest", path.parent).resolve() == run.path.resolve()


def test_the_command_line_ends_with_8(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    emoprune_: Command = entry_point(monkeypatch, capsys)
    replaced(run, "exports", elsewhere(tmp_path / "outside"))
    for words in (["export", "r", "5"], ["resume", "r"], ["pareto", "r"], ["status", "r"], ["report", "r"]):
        ended = emoprune_(*words)
        assert (ended.code, ended.out) == (8, "")
        assert "exports is a symbolic link to" in ended.err
    assert (tmp_path / "outside" / "5" / "kept").exists()


def test_one_such_run_does_not_hide_the_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / "runs" / "linked")
    replaced(Run(tmp_path / "runs" / "linked"), "manifest.json", elsewhere(tmp_path / "outside") / "file")
    assert runs_in(tmp_path / "runs")[0] == run.path
    monkeypatch.chdir(tmp_path)
    listed = entry_point(monkeypatch, capsys)("list", "runs")
    assert listed.code == 0
    assert "is a symbolic link" in listed.out
    assert "OfferingKnapsack12" in listed.out


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("history.jsonl", "resume"),
        ("remeasured.jsonl", "resume"),
        ("generations.jsonl", "resume"),
        ("history.jsonl.torn", "resume"),
        (".lock", "resume"),
        ("recovered.jsonl", "recover"),
        (".locks/audit.lock", "audit"),
    ],
)
def test_a_file_with_a_name_elsewhere_too_is_not_written(run: Run, tmp_path: Path, name: str, work: str) -> None:
    outside = tmp_path / "precious"
    place = run.path / name
    before = place.read_bytes() if place.exists() else b""
    outside.write_bytes(before + b'{"torn')
    if name == "history.jsonl.torn":
        with (run.path / "history.jsonl").open("ab") as file:
            file.write(b'{"torn')
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.hardlink_to(outside)
    with pytest.raises(TrustError, match=rf"{place} has another name too, a hard link.*copy the file"):
        WORK[work](run)
    assert outside.read_bytes() == before + b'{"torn'


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("config.yaml", ["resume"]),
        ("config.resolved.json", ["resume", "export", "audit", "recover"]),
        ("history.jsonl", ["resume", "export", "audit", "recover"]),
    ],
)
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(run: Run, name: str, works: list[str]) -> None:
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    for work in works:
        with pytest.raises(RunCorrupt, match=rf"{name}: expected a file, found a folder or something else"):
            WORK[work](run)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["pareto.csv", "history.jsonl", "config.yaml", "pipe"])
def test_the_doctor_waits_for_no_pipe_and_leaves_it_out_of_the_repaired_copy(run: Run, name: str) -> None:
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    list(check_run(run.path))
    copy = repair(run.path)
    assert f"{name}, which is neither a file nor a folder" in copy.left_out
    assert not (copy.folder / name).is_fifo()
    assert list(check_run(copy.folder))


@pytest.mark.parametrize("read", [read_json, read_checked, read_lines, Journal])
def test_files_of_a_run_are_opened_without_following(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_text('{"a": 1}\ntorn')
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TrustError, match="link is a symbolic link, which is not followed"):
        read(tmp_path / "link")
    if read is not Journal:  # which cannot tell before it has opened it
        with pytest.raises(RunCorrupt, match="pipe: expected a file, found a folder or something else"):
            read(tmp_path / "pipe")
    assert (tmp_path / "file").read_text() == '{"a": 1}\ntorn'
