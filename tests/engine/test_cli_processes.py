"""What takes a process of its own: signals, pipes, locales."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cluster_for_tests import noted
from commands_for_tests import (
    Command,
    begun,
    ended,
    finished_process,
    slow_run,
    status_of,
    wait_for,
)

from emoprune.cli.follow import NOTICE
from emoprune.run import Run

SLOW = ("--set", "problem={name: 'bad_problems:Slow'}")


@pytest.fixture
def finished(emoprune: Command) -> str:
    """Return the name of a finished run."""
    assert emoprune("run", "knapsack.yaml", "--name", "done").code == 0
    return "done"


@pytest.mark.timeout(120)
class TestSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_first_signal_lets_the_run_end_in_order(
        self, folder: Path, emoprune: Command, number: signal.Signals, code: int
    ) -> None:
        process = slow_run(folder, "cut")
        process.send_signal(number)
        end = ended(process)
        assert end.code == code
        assert NOTICE in end.err
        assert "emoprune resume cut" in end.err
        assert "Traceback" not in end.err
        assert json.loads(emoprune("status", "cut", "--json").out)["state"] == "interrupted"
        assert emoprune("resume", "cut").code == 0
        assert json.loads(emoprune("status", "cut", "--json").out)["evaluated"] == 36

    def test_the_second_ctrl_c_ends_the_run_at_once(self, folder: Path, emoprune: Command) -> None:
        words = ("run", "knapsack.yaml", "--name", "cut", "--set", "problem.pause=20", "--set", "search.population=4")
        process = begun(folder, *words)
        wait_for(lambda: status_of(folder, "cut").get("phase") == "search", process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().strip() == NOTICE
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        end = ended(process)
        assert time.monotonic() - begin < 15
        assert end.code == 130
        assert end.err == "nothing was evaluated yet; continue with: emoprune resume cut\n"
        assert json.loads(emoprune("status", "cut", "--json").out)["state"] == "interrupted"

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_first_signal_ends_a_run_that_prepares_at_once(
        self, folder: Path, emoprune: Command, number: signal.Signals, code: int
    ) -> None:
        process = begun(folder, "run", "knapsack.yaml", "--name", "early", *SLOW, "--set", "problem.pause=600")
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "preparing"
        process.send_signal(number)
        end = ended(process)
        assert (end.code, end.out) == (code, "")
        assert end.err == "nothing was evaluated yet; continue with: emoprune resume early\n"
        assert json.loads(emoprune("status", "early", "--json").out)["state"] == "interrupted"

    def test_the_first_signal_ends_a_run_that_thinks_between_its_stages_at_once(self, folder: Path) -> None:
        words = ("--set", "problem={name: 'bad_problems:Between'}")
        process = begun(folder, "run", "knapsack.yaml", "--name", "between", *words)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "between stages"
        process.send_signal(signal.SIGINT)
        end = ended(process)
        assert end.code == 130
        assert end.err.endswith("what was evaluated is kept; continue with: emoprune resume between\n")

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_a_termination_has_a_deadline_and_keeps_what_was_finished(
        self, folder: Path, emoprune: Command, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
    ) -> None:
        monkeypatch.setattr("emoprune.cli.follow.GRACE", 1.0)
        history = folder / "runs" / "late" / "history.jsonl"

        def terminate() -> None:
            deadline = time.monotonic() + 60
            while not (history.exists() and history.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(os.getpid(), number)

        threading.Thread(target=terminate, daemon=True).start()
        begin = time.monotonic()
        end = emoprune("run", "knapsack.yaml", "--name", "late", "--set", "problem.pause=3")
        assert time.monotonic() - begin < 30
        assert end.code == code
        assert "what was evaluated is kept; continue with: emoprune resume late" in end.err
        assert "Traceback" not in end.err
        status = json.loads(emoprune("status", "late", "--json").out)
        assert (status["state"], status["evaluated"]) == ("interrupted", 1)

    @pytest.mark.parametrize("module", ["typer", "emoprune.cli.app", "inspect"])
    def test_ctrl_c_while_the_program_is_loaded_shows_no_traceback(self, folder: Path, module: str) -> None:
        program = f"""
            import emoprune.__main__, os, signal, sys

            class Interrupting:
                def find_spec(self, name, path, target=None):
                    if name == {module!r}:
                        os.kill(os.getpid(), signal.SIGINT)

            sys.modules.pop({module!r}, None)
            sys.meta_path.insert(0, Interrupting())
            sys.argv = ["emoprune", "list"]
            emoprune.__main__.main()
        """
        done = finished_process(folder, "-c", textwrap.dedent(program))
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

    def test_a_run_in_the_background_of_a_script_is_not_stopped_by_ctrl_c(self, folder: Path) -> None:
        process = slow_run(folder, "behind", ignoring=signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0

    def test_a_second_process_on_one_run_ends_with_4_and_names_the_first(self, folder: Path, emoprune: Command) -> None:
        process = slow_run(folder, "held")
        shown = emoprune("resume", "held")
        assert shown.code == 4
        assert f"process {process.pid} " in shown.err
        assert ended(process).code == 0


@pytest.mark.timeout(120)
class TestReaders:
    @pytest.fixture
    def closed_pipe(self) -> Iterator[int]:
        """Yield the writing end of a pipe that nobody reads."""
        reading, writing = os.pipe()
        os.close(reading)
        yield writing
        os.close(writing)

    @pytest.mark.parametrize("words", [("list",), ("pareto", "done"), ("pareto", "done", "--json"), ("status", "done")])
    def test_a_reader_who_leaves_ends_the_command_quietly(
        self, finished: str, folder: Path, closed_pipe: int, words: tuple[str, ...]
    ) -> None:
        done = finished_process(folder, "-m", "emoprune", *words, stdout=closed_pipe)
        assert done.returncode == 141
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr

    def test_a_reader_who_leaves_a_run_interrupts_it_in_order(
        self, emoprune: Command, folder: Path, closed_pipe: int
    ) -> None:
        words = ("run", "knapsack.yaml", "--json", "--name", "unread")
        done = finished_process(folder, "-m", "emoprune", *words, stdout=closed_pipe)
        assert done.returncode == 141
        assert "Traceback" not in done.stderr
        assert "emoprune resume unread" in done.stderr
        assert json.loads(emoprune("status", "unread", "--json").out)["state"] == "interrupted"
        assert emoprune("resume", "unread").code == 0

    def test_progress_and_results_are_plain_without_a_terminal(self, folder: Path) -> None:
        end = ended(begun(folder, "run", "knapsack.yaml", more={"FORCE_COLOR": ""}))
        assert end.code == 0
        assert "\x1b" not in end.out + end.err

    def test_a_narrow_terminal_without_utf_8_shows_everything(self, folder: Path) -> None:
        more = {"COLUMNS": "40", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "TERM": "dumb"}
        end = ended(begun(folder, "run", "knapsack.yaml", "--name", "narrow", more=more))
        assert end.code == 0
        assert end.out.isascii()
        table = [line for line in end.out.splitlines() if not line.startswith(("report ", "export "))]
        assert max(len(line) for line in table) <= 40


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_termination_ends_a_run_on_ray_in_order_and_leaves_no_process(folder: Path, emoprune: Command) -> None:
    words = ("--backend", "ray", "--workers", "1", "--set", "problem.pause=0.1", "--set", "evaluation.chunk=1")
    process = begun(folder, "run", "knapsack.yaml", "--name", "rays", *words)
    wait_for(lambda: status_of(folder, "rays").get("evaluated", 0) > 0, process)
    process.send_signal(signal.SIGTERM)
    end = ended(process)
    assert (end.code, NOTICE in end.err) == (143, True)
    assert emoprune("resume", "rays", "--backend", "serial").code == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_termination_of_a_run_and_of_all_of_its_ray_is_a_stop(folder: Path, emoprune: Command) -> None:
    words = ("--backend", "ray", "--workers", "2", "--set", "problem.pause=2", "--set", "evaluation.retries=0")
    process = begun(folder, "run", "knapsack.yaml", "--name", "group", *words, grouped=True)
    wait_for(lambda: status_of(folder, "group").get("evaluated", 0) > 0, process)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    end = ended(process)
    assert time.monotonic() - begin < 30
    assert (end.code, "Ray cluster lost" in end.err, "Traceback" in end.err) == (143, False, False)
    assert "what was evaluated is kept; continue with: emoprune resume group" in end.err
    status = json.loads(emoprune("status", "group", "--json").out)
    assert status["state"] == "interrupted"
    assert status["failed"] == 0


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_run_on_ray_that_is_killed_resumes_to_the_history_of_one_that_was_not(
    folder: Path, emoprune: Command
) -> None:
    noise = ("--set", "problem.noise=0.05")
    assert emoprune("run", "knapsack.yaml", "--name", "whole", *noise).code == 0
    words = ("--backend", "ray", "--workers", "1", "--set", "evaluation.chunk=1", "--set", "problem.pause=0.03")
    process = begun(folder, "run", "knapsack.yaml", "--name", "killed", *noise, *words)
    history = folder / "runs" / "killed" / "history.jsonl"
    wait_for(lambda: history.exists() and history.read_bytes().count(b"\n") >= 15, process)
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    again = ended(begun(folder, "resume", "killed", "--workers", "2"))
    assert again.code == 0, again.err
    whole, killed = (Run(folder / "runs" / name) for name in ("whole", "killed"))
    ran = ["worker", "seconds", "attempts"]
    pd.testing.assert_frame_equal(whole.history.drop(columns=ran), killed.history.drop(columns=ran))
    assert killed.history["worker"].nunique() > 1
    assert whole.generations["hypervolume"].tolist() == killed.generations["hypervolume"].tolist()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", [("--backend", "ray", "--workers", "2"), ("--backend", "serial")])
def test_no_evaluation_that_was_finished_is_paid_again_after_kills(
    folder: Path, emoprune: Command, backend: tuple[str, ...]
) -> None:
    """Those that were under way when the process was killed may be finished by its workers, for nobody."""
    notes = folder / "notes"
    notes.mkdir()
    words = ("--set", f"problem={{name: 'bad_problems:Noting', notes: '{notes}', pause: 0.08}}", *backend)
    history = folder / "runs" / "cut" / "history.jsonl"
    process = begun(folder, "run", "knapsack.yaml", "--name", "cut", *words)
    for lines in (5, 15, 25):
        wait_for(lambda lines=lines: history.exists() and history.read_bytes().count(b"\n") >= lines, process)  # type: ignore[misc]  # a default binds the number now
        process.kill()
        ended(process)
        process = begun(folder, "resume", "cut")
    assert ended(process).code == 0
    paid = noted(notes)
    assert len(history.read_text().splitlines()) == sum(line.startswith("search") for line in paid) == 36
    assert sum(paid.values()) - len(paid) <= 3 * 2


@pytest.mark.parametrize("command", ["list", "status", "pareto --csv"])
def test_a_closed_standard_output_is_no_error(folder: Path, finished: str, command: str) -> None:
    program = f'"{sys.executable}" -m emoprune {command} {finished if command != "list" else ""} >&-'
    done = subprocess.run(["bash", "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
