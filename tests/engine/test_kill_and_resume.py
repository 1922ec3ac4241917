"""The driver killed with SIGKILL, at seeded moments and at every commit: a resume ends like the uninterrupted run."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "killing_for_tests.py"


def verdicts(*arguments: str, seconds: float) -> Counter[str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    print(done.stdout, done.stderr, sep="\n")  # pytest shows it when the test fails
    assert done.returncode == 0
    return Counter(line.rpartition(": ")[2] for line in done.stdout.splitlines())


@pytest.mark.timeout(200)
def test_killed_at_20_seeded_moments_every_run_resumes_to_the_same_history_and_front(tmp_path: Path) -> None:
    assert verdicts(str(tmp_path), "moments", "20", "1", seconds=180) == {"equal": 20}


@pytest.mark.timeout(200)
def test_killed_around_commits_every_run_resumes_to_the_same_history_and_front(tmp_path: Path) -> None:
    found = verdicts(str(tmp_path), "commits", "13", seconds=180)
    assert set(found) <= {"equal", "not begun"}
    assert found["equal"] >= 10


@pytest.mark.timeout(200)
def test_killed_in_any_stage_every_run_resumes_to_the_same_histories_and_fronts(tmp_path: Path) -> None:
    assert verdicts(str(tmp_path), "moments", "12", "2", "staged", seconds=180) == {"equal": 12}


@pytest.mark.timeout(200)
def test_killed_in_a_survey_every_run_resumes_to_the_same_history_and_front(tmp_path: Path) -> None:
    assert verdicts(str(tmp_path), "moments", "12", "4", "surveying", seconds=180) == {"equal": 12}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_before_and_after_every_single_commit_every_run_resumes_to_the_same(tmp_path: Path) -> None:
    found = verdicts(str(tmp_path), "commits", "1", seconds=880)
    assert set(found) <= {"equal", "not begun"}
    assert found["equal"] >= 150
