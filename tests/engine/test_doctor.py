"""The doctor: what it finds of the machine, of versions and of a run's files, with faults that are really there."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands_for_tests import Command, environment
from searching_for_tests import searched_run
from strangers_for_tests import trap

import emoprune as package
from emoprune.doctor.checks import Check, Health, worst
from emoprune.doctor.machine import check_disk, check_locks, check_shared_memory, nearest_folder
from emoprune.doctor.ray_here import check_ray, check_token
from emoprune.doctor.repairing import repair
from emoprune.doctor.run_files import check_run
from emoprune.errors import ConfigError, RunCorrupt
from emoprune.run import Run
from emoprune.storage import unfinished, write_sealed

SETTINGS: dict[str, Any] = {
    "problem": {"name": "problems_for_tests:Knapsack12", "noise": 0.02},
    "search": {"population": 10, "generations": 4, "seed": 3},
    "evaluation": {"backend": "serial"},
}


def searched(runs: Path, name: str, settings: Mapping[str, Any] = SETTINGS) -> Run:
    return searched_run(settings, runs=runs, name=name)


def asked(program: str, more: Mapping[str, str], limits: Callable[[], None] | None = None) -> list[str]:
    """Return what a check, made in a process of its own, says: its health, its finding and its fix."""
    code = f"from emoprune.doctor import machine, packages\nfor each in {program}: print(each.health.value, '|', each)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(more),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=limits,  # no threads here
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestEnvironment:
    @pytest.mark.timeout(200)
    def test_all_of_it_is_said_in_json_and_nothing_is_imported_from_the_working_folder(
        self, folder: Path, emoprune: Command
    ) -> None:
        sprung = trap(folder, "pydantic", "numpy", "yaml", "colorsys")
        shown = emoprune("doctor", "--json")
        assert not sprung.exists()
        said = json.loads(shown.out)
        assert said["schema"] == "emoprune.doctor/1"
        checks = {check["name"]: check for check in said["checks"]}
        assert {"python", "packages", "torch", "disk for runs", "locks", "disk for ray"} <= set(checks)
        assert {"shared memory", "open files", "locale", "ray", "ray token"} <= set(checks)
        assert checks["ray"]["health"] == "ok"
        assert "an actor answers in" in checks["ray"]["found"]
        assert "numpy" in checks["packages"]["found"]
        assert shown.code == (6 if any(check["health"] == "fail" for check in checks.values()) else 0)
        assert all(check["fix"] for check in checks.values() if check["health"] != "ok")

    def test_a_ray_that_does_not_answer_is_a_failure_in_bounded_time(self) -> None:
        check = check_ray("127.0.0.1:1", within=3.0)
        assert check.health is Health.FAIL
        assert "--backend serial" in check.fix

    @pytest.mark.parametrize(("mode", "health"), [(0o644, Health.WARN), (0o600, Health.OK)])
    def test_a_token_that_others_can_read_is_warned_of(self, tmp_path: Path, mode: int, health: Health) -> None:
        token = tmp_path / "auth_token"
        token.write_text("secret")
        token.chmod(mode)
        check = check_token(token)
        assert check.health is health
        assert check.fix == ("" if health is Health.OK else f"chmod 600 {token}")

    def test_a_folder_that_cannot_be_written_is_a_failure(self) -> None:
        assert check_disk("disk", Path("/proc")).health is Health.FAIL
        assert check_locks(Path("/proc")).health is Health.FAIL

    def test_a_usual_folder_is_all_right(self, tmp_path: Path) -> None:
        assert "GiB free" in check_disk("disk", tmp_path).found
        assert check_locks(tmp_path).health is Health.OK
        assert list(tmp_path.iterdir()) == []
        assert nearest_folder(tmp_path / "not" / "there") == tmp_path

    def test_missing_shared_memory_is_warned_of(self, tmp_path: Path) -> None:
        assert check_shared_memory(tmp_path / "shm").health is Health.WARN

    def test_few_open_files_are_warned_of(self) -> None:
        def few() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))

        said = asked("[machine.check_open_files()]", {}, few)
        assert said[0].startswith("warn | ")
        assert "256 (up to 4,096)" in said[0]
        assert "ulimit -n 4096" in said[0]

    def test_a_locale_without_utf_8_is_warned_of(self) -> None:
        plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        assert asked("[machine.check_locale()]", plain)[0].startswith("warn | ")

    def test_a_package_outside_its_range_fails_and_a_broken_torch_is_noticed(self, tmp_path: Path) -> None:
        (tmp_path / "rich-1.0.dist-info").mkdir()
        (tmp_path / "rich-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rich\nVersion: 1.0\n")
        (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.99: cannot open shared object file')\n")
        more = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        packages = asked("packages.check_packages()", more)
        assert packages[0].startswith("ok | ")
        assert packages[1].startswith("fail | ")
        assert "1.0; expected >=13.9" in packages[1]
        assert "pip install 'rich>=13.9'" in packages[1]
        torch = asked("[packages.check_torch()]", more)[0]
        assert torch.startswith("fail | ")
        assert "cannot be imported: ImportError: libcudart.so.99" in torch

    def test_a_repair_needs_a_run(self, emoprune: Command) -> None:
        assert emoprune("doctor", "--repair").code == 2

    def test_the_worst_counts(self) -> None:
        checks = [Check.judged("a", "x"), Check.judged("b", "x", warn=True, fix="y"), Check.judged("c", "x", fix="y")]
        assert worst(checks) is Health.WARN
        assert worst([]) is Health.OK
        assert checks[2].fix == ""


def health_of(run: Run) -> dict[str, Health]:
    return {check.name: check.health for check in check_run(run.path)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(tmp_path_factory.mktemp("whole"), "whole")


@pytest.fixture
def run(tmp_path: Path, whole: Run) -> Run:
    """Return a copy of a finished run, to be damaged."""
    return Run(Path(shutil.copytree(whole.path, tmp_path / "runs" / "damaged")))


def replace_line(path: Path, number: int, line: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[: number - 1], line + b"\n", *lines[number:]]))


class TestRuns:
    def test_a_whole_run_is_whole(self, run: Run) -> None:
        assert set(health_of(run).values()) == {Health.OK}

    def test_nothing_is_written_by_looking(self, run: Run) -> None:
        before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
        list(check_run(run.path))
        assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    @pytest.mark.parametrize("name", ["history.jsonl", "remeasured.jsonl", "generations.jsonl"])
    @pytest.mark.parametrize("line", [b"\x00garbage", b"[]", b'{"candidate": 3}'])
    def test_a_broken_line_is_named_and_left_out_of_the_repaired_copy(self, run: Run, name: str, line: bytes) -> None:
        path = run.path / name
        replace_line(path, 3, line)
        before = path.read_bytes()
        assert health_of(run)[name] is Health.FAIL
        assert "broken: 3" in next(check.found for check in check_run(run.path) if check.name == name)
        copy = Run(repair(run.path).folder)
        assert path.read_bytes() == before
        assert Health.FAIL not in health_of(copy).values()
        assert line not in (copy.path / name).read_bytes().splitlines()

    def test_a_repaired_copy_resumes_to_what_the_run_was(self, run: Run, whole: Run) -> None:
        replace_line(run.path / "history.jsonl", 3, b"\x00garbage")
        replace_line(run.path / "remeasured.jsonl", 2, b"\x00garbage")
        with pytest.raises(RunCorrupt, match=r"\.jsonl:\d: .*emoprune doctor RUN --repair"):
            list(package.resume(run))
        copy = Run(repair(run.path).folder)
        kept = copy.history["candidate"].tolist()
        for _ in package.resume(copy):
            pass
        ran = ["worker", "seconds", "attempts"]
        pd.testing.assert_frame_equal(copy.history.drop(columns=ran), whole.history.drop(columns=ran))
        paid_once = whole.history["candidate"].isin(kept)
        pd.testing.assert_series_equal(copy.history["seconds"][paid_once], whole.history["seconds"][paid_once])

    def test_an_unfinished_last_line_and_a_damaged_checkpoint_are_warned_of(self, run: Run) -> None:
        with (run.path / "history.jsonl").open("ab") as history:
            history.write(b'{"candidate"')
        max((run.path / "checkpoints").iterdir()).write_bytes(b"")
        found = health_of(run)
        assert (found["history.jsonl"], found["checkpoint"], found["resume"]) == (Health.WARN, Health.WARN, Health.OK)

    def test_a_history_that_does_not_fit_its_checkpoint_fails_and_can_be_repaired(self, run: Run) -> None:
        path = run.path / "history.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
        said = {check.name: check for check in check_run(run.path)}["resume"]
        assert said.health is Health.FAIL
        assert said.found == "the newest checkpoint counts 40 candidates, history.jsonl holds 20 of them"
        assert Health.FAIL not in health_of(Run(repair(run.path).folder)).values()

    def test_an_altered_value_in_the_history_is_noticed(self, run: Run) -> None:
        path = run.path / "history.jsonl"
        line = json.loads(path.read_bytes().splitlines()[4])
        line["values"]["weight"] += 1
        replace_line(path, 5, json.dumps(line).encode())
        assert health_of(run)["resume"] is Health.FAIL

    def test_a_manifest_that_cannot_be_read_is_named_and_not_repaired(self, run: Run) -> None:
        (run.path / "manifest.json").write_text("{")
        found = {check.name: check.health for check in check_run(run.path)}
        assert found["manifest"] is Health.FAIL
        with pytest.raises(RunCorrupt, match="cannot read"):
            repair(run.path)

    def test_what_a_killed_process_left_is_named(self, run: Run) -> None:
        unfinished(run.path / "pareto.csv", "tmp").write_text("")
        assert "leftovers" not in health_of(run)  # this process may still be writing it
        left = run.path / f".pareto.csv.{'0' * 8}-1-{'0' * 8}.tmp"
        left.write_text("")
        os.utime(left, (0, 0))
        assert health_of(run)["leftovers"] is Health.WARN

    def test_stages_are_looked_at_too(self, tmp_path: Path) -> None:
        settings = {**SETTINGS, "problem": {"name": "problems_for_tests:HalvedKnapsack"}}
        staged = searched(tmp_path, "staged", settings)
        replace_line(staged.stages["left"].path / "history.jsonl", 2, b"garbage")
        assert health_of(staged)["left: history.jsonl"] is Health.FAIL
        assert Health.FAIL not in health_of(Run(repair(staged.path).folder)).values()

    def test_a_copy_is_not_replaced_and_a_running_run_not_copied(self, run: Run) -> None:
        repair(run.path)
        with pytest.raises(ConfigError, match="damaged-repaired exists"):
            repair(run.path)
        status = json.loads((run.path / "status.json").read_text())
        alive = {**status, "state": "running", "pid": os.getpid(), "updated": "2999-01-01T00:00:00+00:00"}
        write_sealed(run.path / "status.json", alive)
        with pytest.raises(ConfigError, match="is being written"):
            repair(run.path)

    def test_a_status_that_cannot_be_read_is_rewritten_by_a_resume(self, run: Run) -> None:
        (run.path / "status.json").write_text("{")
        assert health_of(run)["status"] is Health.FAIL
        searching = package.resume(run)
        assert list(searching) == []
        assert any("status.json" in warning for warning in searching.warnings)
        assert set(health_of(run).values()) == {Health.OK}

    def test_the_command_says_what_is_wrong_what_to_do_and_ends_with_3(self, emoprune: Command, run: Run) -> None:
        replace_line(run.path / "history.jsonl", 3, b"garbage")
        shown = emoprune("doctor", str(run.path))
        assert shown.code == 3
        assert "fail  history.jsonl     1 of 40 lines are broken: 3; " in shown.out
        assert "-> `emoprune doctor RUN --repair` makes a copy" in shown.out
        mended = emoprune("doctor", str(run.path), "--repair")
        assert mended.code == 0
        assert mended.out.endswith(f"go on with it: emoprune resume {run.path}-repaired\n")
        assert emoprune("resume", f"{run.path}-repaired").code == 0
