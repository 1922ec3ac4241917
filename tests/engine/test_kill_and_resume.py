"""The driver killed with SIGKILL, at seeded moments and at every commit: a resume ends like the uninterrupted run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "killing_for_tests.py"


MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it


@pytest.fixture
def runs() -> Iterator[str]:
    """A folder in memory where there is one: unlike a power cut, a kill loses nothing that was written."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield folder


def verdicts(*arguments: str, seconds: float) -> Counter[str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    print(done.stdout, done.stderr, sep="\n")  # pytest shows it when the test fails
    assert done.returncode == 0
    return Counter(line.rpartition(": ")[2] for line in done.stdout.splitlines())


@pytest.mark.timeout(200)
def test_killed_at_20_seeded_moments_every_run_resumes_to_the_same_history_and_front(runs: str) -> None:
    assert verdicts(runs, "moments", "20", "1", seconds=180) == {"equal": 20}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_around_commits_every_run_resumes_to_the_same_history_and_front(runs: str) -> None:
    found = verdicts(runs, "commits", "13", seconds=180)
    assert set(found) <= {"equal", "not begun"}
    assert found["equal"] >= 10


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_in_any_stage_every_run_resumes_to_the_same_histories_and_fronts(runs: str) -> None:
    assert verdicts(runs, "moments", "12", "2", "staged", seconds=180) == {"equal": 12}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_between_grades_every_run_resumes_to_the_same_history_and_front(runs: str) -> None:
    assert verdicts(runs, "moments", "20", "5", "graded", seconds=180) == {"equal": 20}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_in_a_survey_every_run_resumes_to_the_same_history_and_front(runs: str) -> None:
    assert verdicts(runs, "moments", "12", "4", "surveying", seconds=180) == {"equal": 12}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_before_and_after_every_single_commit_every_run_resumes_to_the_same(runs: str) -> None:
    found = verdicts(runs, "commits", "1", seconds=880)
    assert set(found) <= {"equal", "not begun"}
    assert found["equal"] >= 150
